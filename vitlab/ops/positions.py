"""Where a token is: sine-cosine tables, rotary angles, resampling of learned tables."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

Grid = tuple[int, int]  # patches along the height and the width


def sincos_2d(grid: Grid, width: int, temperature: float = 10_000.0) -> Float[np.ndarray, 'h w d']:
  """Fixed two-dimensional sine-cosine table, as in MoCo v3 (arXiv:2104.02057) and big_vision.

  With the frequencies w_i = temperature^(-i / (width/4 - 1)), i = 0 .. width/4 - 1, a token in
  row y and column x gets [sin(x w), cos(x w), sin(y w), cos(y w)].

  Raises:
    ValueError: the width is not a multiple of 4, or is 4 (which leaves the exponent 0 / 0).
  """
  if width % 4 or width < 8:
    raise ValueError(f'sincos_2d: the width {width} is not a multiple of 4 above 4')
  frequency = temperature ** (-np.arange(width // 4) / (width // 4 - 1))
  y = np.arange(grid[0])[:, None, None] * frequency
  x = np.arange(grid[1])[None, :, None] * frequency
  parts = (np.sin(x), np.cos(x), np.sin(y), np.cos(y))
  return np.concatenate([np.broadcast_to(p, (*grid, width // 4)) for p in parts], axis=-1)


def rope_2d(grid: Grid, head_dim: int, base: float = 100.0) -> Float[np.ndarray, 't half']:
  """Angles of the axial rotary embedding in the form of DINOv3 (arXiv:2508.10104).

  A patch's centre is (y, x) in [-1, 1]²; with the periods p_i = base^(i / (k/4)), i = 0 .. k/4 - 1,
  the first quarter of the head turns by 2π y / p_i, the second by 2π x / p_i, so that a query and a
  key meet at an angle that depends on their offset alone (RoFormer, arXiv:2104.09864).

  Returns:
    One angle in radians per token (row by row) and rotated pair: half = head_dim / 2.

  Raises:
    ValueError: the head size is not a multiple of 4.
  """
  if head_dim % 4:
    raise ValueError(f'rope_2d: the head size {head_dim} is not a multiple of 4')
  periods = base ** (np.arange(head_dim // 4) / (head_dim // 4))
  y, x = ((np.arange(n) + 0.5) / n * 2 - 1 for n in grid)
  y = np.broadcast_to(y[:, None, None] / periods, (*grid, head_dim // 4))
  x = np.broadcast_to(x[None, :, None] / periods, (*grid, head_dim // 4))
  return 2 * np.pi * np.concatenate([y, x], axis=-1).reshape(grid[0] * grid[1], -1)


def rope_1d(
  position: Int[Array, '*b t'], head_dim: int, base: float = 10_000.0, dtype: Any = jnp.float32
) -> Float[Array, '*b t half']:
  """Angles of the rotary embedding of the tokens of a text (RoFormer, arXiv:2104.09864).

  The token at t turns its i-th pair by t · base^(-2i / k), i = 0 .. k/2 - 1. The pairs are those of
  `rotate`, as in GPT-NeoX and LLaMA; the paper pairs neighbours: the same model, a head permuted.

  Raises:
    ValueError: the head size is odd.
  """
  if head_dim % 2:
    raise ValueError(f'rope_1d: the head size {head_dim} is not even')
  frequency = jnp.asarray(base ** (-np.arange(0, head_dim, 2) / head_dim), dtype)
  return position[..., None].astype(dtype) * frequency


def rotate(
  x: Float[Array, '*b t k'], angles: Float[np.ndarray, '... t half'] | Float[Array, '... t half']
) -> Float[Array, '*b t k']:
  """Turns the pairs (x_i, x_{i + k/2}) of every head by their token's angles, in float32."""
  dtype = jnp.promote_types(x.dtype, jnp.float32)
  cos, sin = (jnp.asarray(f(angles), dtype) for f in (jnp.cos, jnp.sin))
  first, second = jnp.split(x.astype(dtype), 2, axis=-1)
  turned = (first * cos - second * sin, second * cos + first * sin)
  return jnp.concatenate(turned, axis=-1).astype(x.dtype)


def resample(
  table: Float[Array, 'h w d'] | Float[np.ndarray, 'h w d'], grid: Grid, method: str = 'cubic'
) -> Float[Array, 'h2 w2 d']:
  """Resamples a learned position table to another grid, square or not.

  Bicubic with anti-aliasing, as timm does when it loads weights at another resolution; `method` may
  be any of `jax.image.resize` ('linear' is what vit_jax and big_vision do).
  """
  if table.shape[:2] == tuple(grid):
    return jnp.asarray(table)
  return jax.image.resize(jnp.asarray(table), (*grid, table.shape[-1]), method, antialias=True)


def resample_bicubic(
  table: Float[np.ndarray, 'h w d'], grid: Grid, offset: float = 0.0
) -> Float[np.ndarray, 'h2 w2 d']:
  """Resamples a learned position table as torch's `interpolate(mode='bicubic')` does by itself.

  Without anti-aliasing, with a = -0.75 where `resample` has -0.5, and beyond the border the nearest
  vector: what DINOv2 (arXiv:2304.07193) does at every size of images but its own.

  Args:
    table: The vectors of a grid of patches.
    grid: The patches wanted.
    offset: What DINOv2's own code adds to the number of patches, 0.1, before it divides it by the
      number learned: its samples lie a little closer than those of the grid. 0: none.
  """
  for axis, wanted in enumerate(grid):
    weights = _bicubic(table.shape[axis], wanted, table.shape[axis] / (wanted + offset))
    table = np.moveaxis(np.tensordot(weights, table, (1, axis)), 0, axis)
  return table


def _bicubic(learned: int, wanted: int, step: float) -> Float[np.ndarray, 'wanted learned']:
  """What every wanted sample takes of those learned, which lie so many steps apart."""
  # torch's places are float32 too, rounded once: it shows in the fifth digit of what is resampled.
  place = (np.float64(np.float32(step)) * (np.arange(wanted) + 0.5) - 0.5).astype(np.float32)
  first, weights, a = np.floor(place).astype(int), np.zeros((wanted, learned)), -0.75
  for near in range(-1, 3):
    x = abs(place - (first + near))
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    outer = a * (((x - 5) * x + 8) * x - 4)
    index = np.clip(first + near, 0, learned - 1)
    np.add.at(weights, (np.arange(wanted), index), np.where(x <= 1, inner, outer))
  return weights


def sincos_of_area(
  counts: Int[Array, 'b 2'], grid: Grid, width: int, dtype: Any = jnp.float32
) -> Float[Array, 'b h w d']:
  """Fixed sine-cosine vectors of the valid area of padded maps, as in DETR (arXiv:2005.12872).

  The half of y, then that of x, each `sincos_1d`, interleaved, of the place in the area from just
  above 0 to 2π: whatever the size of the area, its last row is at 2π.

  Args:
    counts: Rows and columns of the valid area, which lies in the upper left corner.
    grid: Rows and columns of the padded maps. The vectors of the padding mean nothing.
    width: Of the vectors, a multiple of 4.
    dtype: Of the result.
  """
  parts = []
  for axis, shape in enumerate([(-1, grid[0], 1), (-1, 1, grid[1])]):
    count = counts[:, axis, None].astype(dtype)
    angle = jnp.arange(1, grid[axis] + 1, dtype=dtype) / (count + 1e-6) * (2 * np.pi)
    part = sincos_1d(angle, width // 2, interleaved=True, dtype=dtype)
    parts.append(
      jnp.broadcast_to(part.reshape(*shape, width // 2), (counts.shape[0], *grid, width // 2))
    )
  return jnp.concatenate(parts, axis=-1)


def sincos_1d(
  position: Int[Array, '*b t'] | Float[Array, '*b t'],
  width: int,
  interleaved: bool = False,
  dtype: Any = jnp.float32,
  temperature: float = 10_000.0,
) -> Float[Array, '*b t d']:
  """Fixed sine-cosine vectors of the tokens of a sentence (arXiv:1706.03762, section 3.5).

  With the frequencies w_i = temperature^(-2i / width), i = 0 .. width/2 - 1, the token at t gets
  [sin(t w), cos(t w)], one after the other as in fairseq and Marian, or `interleaved`, sin(t w_0),
  cos(t w_0), sin(t w_1), ..., as the paper writes it: the same model, its width permuted.

  Raises:
    ValueError: the width is odd.
  """
  if width % 2:
    raise ValueError(f'sincos_1d: the width {width} is not even')
  frequency = jnp.asarray(temperature ** (-np.arange(0, width, 2) / width), dtype)
  angle = position[..., None].astype(dtype) * frequency
  parts = jnp.sin(angle), jnp.cos(angle)
  if interleaved:
    return jnp.stack(parts, axis=-1).reshape(*position.shape, width)
  return jnp.concatenate(parts, axis=-1)


def places_in_segments(segments: Int[Array, '*b t']) -> Int[Array, '*b t']:
  """Where each token stands in its own document: rows of several documents behind one another.

  Args:
    segments: The number of the document that each token is of.
  """
  place = jnp.broadcast_to(jnp.arange(segments.shape[-1], dtype=jnp.int32), segments.shape)
  begins = jnp.diff(segments, axis=-1, prepend=segments[..., :1]) != 0
  return place - jax.lax.cummax(jnp.where(begins, place, 0), axis=segments.ndim - 1)
