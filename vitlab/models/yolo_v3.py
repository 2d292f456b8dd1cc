"""YOLOv3: a grid of cells, three anchors in each (Redmon and Farhadi 2018, arXiv:1804.02767).

Darknet-53, a pyramid down, and on each of its three maps one convolution that answers for every
cell and anchor: a box, p(object), p(class | object). The centre of the box lies in the cell, its
sides are a factor of the anchor's. Each object is answered for by the anchor of all nine whose
shape is most like its own, in the cell where its centre lies; whoever else overlaps an object by
more than half is told nothing. There is no class for the background, and classes may hold at once.

In: float images `b h w c`, normalised, zero outside of their size. Out: a dict, see `YOLOv3`.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from vitlab.errors import UserError
from vitlab.layers.choices import check_answers, compute_dtype, pick_size
from vitlab.layers.darknet import Layers, darknet, leaky_relu, padded
from vitlab.layers.dense import Dense
from vitlab.layers.norms import make_norm
from vitlab.layers.pyramids import top_down
from vitlab.ops.boxes import (
  Detections,
  Objects,
  Term,
  area,
  cxcywh_to_xyxy,
  pairwise_iou,
  xyxy_to_cxcywh,
)
from vitlab.ops.cells import Cells, Keep, cells, detected, side_by_side, told
from vitlab.ops.losses import binary_cross_entropy

STRIDES = (8, 16, 32)
PRIOR = 0.01  # the probability of an object, and of each class, before training
# Width and height in pixels, from fine to coarse: what k-means makes of COCO's boxes (section 2.3).
ANCHORS = ((10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119), (116, 90), (156, 198)) + (
  (373, 326),
)


class Size(NamedTuple):
  width: int  # channels of the stem
  depths: tuple[int, ...]  # residual blocks of each stage


VARIANTS = {
  'mu': Size(4, (1, 1, 1, 1, 1)),  # for tests
  'small': Size(16, (1, 1, 2, 2, 1)),
  '53': Size(32, (1, 2, 8, 8, 4)),  # table 1
}


class YOLOv3(nn.Module):
  """YOLOv3, composed of its parts.

  Attributes:
    body: (image, train) -> maps, of which the last three are used.
    pyramid: (maps, train) -> maps.
    towers: Of each map, in front of its answers.
    num_classes: Number of class logits.
    anchors: Width and height, as many for each map; from fine to coarse.
    ignore: Overlap with an object above which whoever does not answer for it is told nothing.
    keep: Which answers are left at the end.
    dtype: Of the answers.
  """

  body: nn.Module
  pyramid: nn.Module
  towers: Sequence[nn.Module]
  num_classes: int
  anchors: tuple[tuple[float, float], ...] = ANCHORS
  ignore: float = 0.5
  keep: Keep = Keep()
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self,
    image: Float[Array, 'b h w c'],
    size: Int[Array, 'b 2'],
    train: bool = False,
    objects: Objects | None = None,
  ) -> dict[str, Any]:
    """Answers for every anchor in every cell.

    Args:
      image: Normalised images; to sides that the coarsest stride divides, zeros are added.
      size: Not read: cells outside of it learn that nothing is there.
      train: Whether batchnorm uses the batch.
      objects: Not read.

    Returns:
      'levels', the maps behind the pyramid, from fine to coarse; of each anchor q, cell by cell and
      row by row: 'boxes' [b q 4], the codes that they come from, 'deltas' [b q 4], and the logits
      'objectness' [b q] and 'logits' [b q classes], in at least float32.
    """
    del size, objects
    levels = self.pyramid(self.body(padded(image, STRIDES[-1]), train)[-3:], train)
    guess = nn.initializers.constant(-math.log((1 - PRIOR) / PRIOR))
    head = partial(Dense, dtype=self.dtype, kernel_init=nn.initializers.normal(0.01))
    count, maps = len(self.anchors) // len(STRIDES), []
    for i, (x, tower) in enumerate(zip(levels, self.towers)):
      x = tower(x, train)
      deltas = head((count, 4), name=f'box_head_{i}')(x)
      objectness = head((count, 1), bias_init=guess, name=f'objectness_head_{i}')(x)
      logits = head((count, self.num_classes), bias_init=guess, name=f'class_head_{i}')(x)
      maps.append(dict(deltas=deltas, objectness=objectness, logits=logits))
    flat = lambda x: x.reshape(*x.shape[:2], -1, x.shape[-1])  # noqa: E731
    out = {name: side_by_side([flat(m[name]) for m in maps]) for name in maps[0]}
    out['objectness'] = out['objectness'][..., 0]
    return out | dict(levels=levels, boxes=decode(out['deltas'], *self._grid(levels)))

  @nn.nowrap
  def losses(
    self, out: dict[str, Any], objects: Objects, size: Int[Array, 'b 2'], mask: Bool[Array, ' b']
  ) -> dict[str, Term]:
    """Sums over anchors, and the number of pictures, by which Darknet's own program divides them.

    A box has the cross-entropy of its centre's place in the cell, whose slope is the paper's, and
    half the squared error of the logarithm of its sides; both count the more the smaller the object
    is, by two less its share of the picture.

    Args:
      out: What the model gives.
      objects: To be found.
      size: Not read.
      mask: False: a row that weighs nothing.
    """
    del size
    levels, logits = out['levels'], out['logits']
    objects = objects.where(mask)
    grid, sides = self._grid(levels)
    owner = jax.vmap(
      partial(assigned, anchors=self.anchors, maps=tuple(x.shape[1:3] for x in levels))
    )(objects)
    answers, boxes, right = told(objects, owner, logits)
    place, growth = encode(boxes, grid, sides)
    pixels = math.prod(levels[0].shape[1:3]) * STRIDES[0] ** 2
    box = binary_cross_entropy(out['deltas'][..., :2], place)
    box += jnp.square(out['deltas'][..., 2:] - growth) / 2
    box = (2 - area(boxes) / pixels) * box.sum(-1)
    overlap = jnp.max(pairwise_iou(jax.lax.stop_gradient(out['boxes']), objects.boxes), axis=-1)
    counted = mask[:, None] & (answers | ~(overlap > self.ignore))

    count = mask.sum().astype(box.dtype)
    total = lambda loss, where: Term(jnp.where(where, loss, 0).sum(), count)  # noqa: E731
    return {
      'class': total(binary_cross_entropy(logits, right).sum(-1), answers),
      'objectness': total(binary_cross_entropy(out['objectness'], answers), counted),
      'box': total(box, answers),
    }

  @nn.nowrap
  def detect(
    self, out: dict[str, Any], size: Int[Array, 'b 2'], suppress: bool = True
  ) -> Detections:
    """The answers that are left, see `vitlab.ops.cells.detected`."""
    return detected(out, size, self.keep, suppress)

  @nn.nowrap
  def _grid(self, levels: Sequence[Array]) -> tuple[Cells, Float[np.ndarray, 'q 2']]:
    """The cell and the sides of every anchor."""
    count = len(self.anchors) // len(levels)
    grid = cells(levels, STRIDES, repeat=count)
    anchors = np.array(self.anchors, grid.strides.dtype).reshape(len(levels), count, 2)
    numbers = [math.prod(x.shape[1:3]) for x in levels]
    return grid, np.concatenate([np.tile(a, (n, 1)) for a, n in zip(anchors, numbers)])


def decode(
  deltas: Float[Array, 'b q 4'], grid: Cells, sides: Float[np.ndarray, 'q 2']
) -> Float[Array, 'b q 4']:
  """The boxes that are coded so: place of the centre in its cell, growth of the anchor's sides."""
  centre = (jax.nn.sigmoid(deltas[..., :2]) + grid.corners) * grid.strides[:, None]
  return cxcywh_to_xyxy(jnp.concatenate([centre, jnp.exp(deltas[..., 2:]) * sides], axis=-1))


def encode(
  boxes: Float[Array, 'b q 4'], grid: Cells, sides: Float[np.ndarray, 'q 2']
) -> tuple[Float[Array, 'b q 2'], Float[Array, 'b q 2']]:
  """Place and growth of these boxes; rows that are zero have finite ones."""
  boxes = xyxy_to_cxcywh(boxes)
  place = boxes[..., :2] / grid.strides[:, None] - grid.corners
  return place, jnp.log(jnp.maximum(boxes[..., 2:], 1e-8) / sides)


def assigned(
  objects: Objects, anchors: tuple[tuple[float | int, ...], ...], maps: tuple[tuple[int, int], ...]
) -> Int[Array, ' q']:
  """The object that each anchor in each cell of a picture answers for; -1: none.

  Where several objects want the same, the last one has it.

  Args:
    objects: Of the picture.
    anchors: Width and height, as many for each map.
    maps: Rows and columns of each map, from fine to coarse.
  """
  boxes = xyxy_to_cxcywh(objects.boxes)
  centred = lambda sides: jnp.concatenate([-sides / 2, sides / 2], axis=-1)  # noqa: E731
  shapes = jnp.asarray(anchors, boxes.dtype)
  best = jnp.argmax(pairwise_iou(centred(boxes[:, 2:]), centred(shapes)), axis=1)

  count = len(anchors) // len(maps)
  level, anchor = best // count, best % count
  rows, columns = jnp.asarray(maps).T
  before = np.cumsum([0, *(count * math.prod(shape) for shape in maps)])
  cell = jnp.floor(boxes[:, :2] / jnp.asarray(STRIDES)[level][:, None]).astype(int)
  x = jnp.clip(cell[:, 0], 0, columns[level] - 1)
  y = jnp.clip(cell[:, 1], 0, rows[level] - 1)
  index = jnp.asarray(before)[level] + (y * columns[level] + x) * count + anchor
  number = jnp.where(objects.classes >= 0, jnp.arange(len(boxes)), -1)
  return jnp.full(before[-1], -1).at[index].max(number)


def make(
  variant: str = '53',
  num_classes: int = 80,
  *,
  width: int | None = None,
  depths: Sequence[int] | None = None,
  anchors: Sequence[Sequence[float | int]] = ANCHORS,
  ignore_threshold: float = 0.5,
  norm_epsilon: float = 1e-5,
  score_threshold: float = 0.01,
  nms_iou: float = 0.45,
  max_detections: int = 100,
  dtype: str = 'float32',
) -> YOLOv3:
  """Composes a YOLOv3.

  Args:
    variant: A size of `VARIANTS`.
    num_classes: Number of classes; the background is none.
    width: Channels of the stem, instead of the variant's.
    depths: Residual blocks of each of the five stages, instead of the variant's.
    anchors: Width and height in pixels of the picture that the model sees, as many for each of the
      three maps; from fine to coarse.
    ignore_threshold: Overlap with an object above which an anchor that does not answer for it is
      not told that nothing is there.
    norm_epsilon: Added to the variance in the norms.
    score_threshold: The least score of an answer.
    nms_iou: Overlap (IoU) above which the less sure of two answers of one class is suppressed.
    max_detections: Answers to a picture at most; COCO looks at 100.
    dtype: The type of what is computed, 'bfloat16' or 'float32'. Parameters, norm statistics and
      answers stay float32.

  Raises:
    UserError: a word or number that cannot be used; lists what is possible.
  """
  size = pick_size('YOLOv3', VARIANTS, variant, width=width, depths=depths)
  check_answers('YOLOv3', num_classes, score_threshold, nms_iou, max_detections)
  if len(size.depths) != 5:
    raise UserError(f'YOLOv3: depths={size.depths} need to be 5, one for each stage')
  anchors = tuple(tuple(map(float, anchor)) for anchor in anchors)
  if not anchors or len(anchors) % 3 or any(len(a) != 2 or min(a) <= 0 for a in anchors):
    raise UserError(
      f'YOLOv3: anchors={anchors}\nexpected (width, height), in pixels, as many for each of 3 maps'
    )
  compute = compute_dtype(dtype)
  norm = partial(make_norm, 'batchnorm', norm_epsilon, compute, maps=True)
  layers = Layers(norm, leaky_relu, depthwise=False, dtype=compute)
  return YOLOv3(
    darknet(layers, size.width, size.depths),
    top_down(layers, size.width),
    [layers.conv(size.width * factor, 3) for factor in (8, 16, 32)],
    num_classes,
    anchors,
    ignore_threshold,
    Keep(score_threshold, nms_iou, detections=max_detections),
    jnp.promote_types(compute, jnp.float32),
  )
