"""RoIAlign: a small map of fixed size for each box, read from feature maps between their cells.

He et al. 2017 (arXiv:1703.06870), section 3; levels of a pyramid: arXiv:1612.03144, equation 1.
Letters: n boxes, y and x bins, k cells that share in one bin.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

Map = Float[Array, '_h _w c']
Boxes = Float[Array, 'n 4']
CANONICAL_LEVEL, CANONICAL_SIDE = 4, 224  # boxes as large as ImageNet's crops: the map of stride 16


def roi_align(
  map: Map,
  boxes: Boxes,
  output_size: int,
  scale: float,
  sampling_ratio: int = 2,
  aligned: bool = False,
) -> Float[Array, 'n y x c']:
  """The map within each box, as the mean of samples in each of `output_size`² bins.

  The gradient is that of the map; boxes get none, as in torchvision. What lies beyond the edge is
  the edge (torchvision's compiled kernels: zero, from one cell on; a clipped box has none of it).

  Args:
    map: Features.
    boxes: xyxy in pixels of the picture.
    output_size: Rows, and columns, of bins.
    scale: Cells of the map a pixel of the picture.
    sampling_ratio: Samples of a bin along each axis.
    aligned: Whether cell i has its centre at i + 1/2 (detectron2), not at i (torchvision's models;
      no box is then taken to be smaller than a cell).
  """
  level = jnp.zeros(len(boxes), jnp.int32)
  return _align([map], boxes, level, output_size, [scale], sampling_ratio, aligned)


def multilevel_roi_align(
  maps: Sequence[Map],
  boxes: Boxes,
  output_size: int,
  scales: Sequence[float],
  sampling_ratio: int = 2,
  aligned: bool = False,
) -> Float[Array, 'n y x c']:
  """`roi_align` of each box on the level of a feature pyramid that suits its size.

  Args:
    maps: Features, each level of half the height and width of the one before.
    boxes: xyxy in pixels of the picture.
    output_size: Rows, and columns, of bins.
    scales: Cells of each map a pixel of the picture: powers of 1/2.
    sampling_ratio: Samples of a bin along each axis.
    aligned: As in `roi_align`.
  """
  level = pyramid_level(boxes, scales)
  return _align(maps, boxes, level, output_size, scales, sampling_ratio, aligned)


def pyramid_level(boxes: Boxes, scales: Sequence[float]) -> Int[Array, ' n']:
  """Which map suits the size of each box: floor(4 + log2(side / 224)) is log2 of its stride."""
  low, high = boxes[:, :2], boxes[:, 2:]
  side = jnp.sqrt(jnp.prod(high - low, axis=1))
  # The 1e-6 is torchvision's: a box of exactly 112 pixels is on one level whatever log2 rounds to.
  level = jnp.floor(CANONICAL_LEVEL + jnp.log2(side / CANONICAL_SIDE) + 1e-6)
  first = round(-math.log2(scales[0]))
  return jnp.clip(level - first, 0, len(scales) - 1).astype(jnp.int32)


def _align(maps, boxes, level, bins, scales, sampling_ratio, aligned):
  """All maps lie in one table of cells, so that each box is read once, from its own level."""
  table = jnp.concatenate([map.reshape(-1, map.shape[-1]) for map in maps])
  height, width = jnp.asarray([map.shape[:2] for map in maps]).T[..., level, None]
  start = np.cumsum([0, *(map.shape[0] * map.shape[1] for map in maps[:-1])])
  left, top, right, bottom = (boxes.T * jnp.asarray(scales, boxes.dtype)[level])[..., None]
  bounds = dict(bins=bins, sampling_ratio=sampling_ratio, aligned=aligned)
  y, y_weight = _cells(top, bottom, height, **bounds)
  x, x_weight = _cells(left, right, width, **bounds)
  row = jnp.asarray(start)[level, None, None] + y * width[..., None]
  index = row[:, :, None, :, None] + x[:, None, :, None, :]
  weight = jnp.einsum('nyk,nxl->nyxkl', y_weight, x_weight)
  k = (2 * sampling_ratio) ** 2
  index, weight = (jnp.moveaxis(a.reshape(*a.shape[:3], k), -1, 0) for a in (index, weight))
  return _weighted_rows(table, index, weight)


def _cells(low, high, side, bins, sampling_ratio, aligned):
  """Along one axis, the two cells around each sample and their weights in the mean: [n bins k]."""
  if aligned:
    low, high = low - 0.5, high - 0.5
  else:
    high = jnp.maximum(high, low + 1)
  sample = (jnp.arange(bins * sampling_ratio) + 0.5) / (bins * sampling_ratio)
  place = jnp.clip(low + sample * (high - low), 0, side - 1)
  before = jnp.floor(place)
  after = jnp.minimum(before + 1, side - 1)
  cell = jnp.stack([before, after], axis=-1).astype(jnp.int32)
  weight = jnp.stack([1 - (place - before), place - before], axis=-1) / sampling_ratio
  shape = (len(low), bins, 2 * sampling_ratio)
  return cell.reshape(shape), weight.reshape(shape)


@jax.custom_vjp
def _weighted_rows(table, index, weight):
  """sum_k weight[k] * table[index[k]], [cells c], [k ...] -> [... c].

  On CPU one loop over all k is 5 times as fast as a loop for each of them, but its own gradient
  adds up k tables: there, each k adds to the same one, in a quarter of the time.
  """
  rows = (w[..., None] * table.at[i].get(mode='clip') for i, w in zip(index, weight, strict=True))
  return sum(rows).astype(table.dtype)


def _weighted_rows_forward(table, index, weight):
  return _weighted_rows(table, index, weight), (table, index, weight)


def _weighted_rows_backward(residuals, gradient):
  table, index, weight = residuals

  def add(total, cells):
    i, w = cells
    return total.at[i].add(w[..., None] * gradient), None

  total, _ = jax.lax.scan(add, jnp.zeros(table.shape, weight.dtype), (index, weight))
  return total.astype(table.dtype), None, None


_weighted_rows.defvjp(_weighted_rows_forward, _weighted_rows_backward)
