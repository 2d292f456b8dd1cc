"""YOLOX: every cell of three maps answers with one box (Ge et al. 2021, arXiv:2107.08430).

CSPDarknet, a pyramid down and up, and a head for each map in which classes and boxes go separate
ways. There are no anchors: a box is coded by its distance from the corner of the cell and by the
logarithm of its sides, both in sides of the cell. What a cell is to answer is decided anew in every
step by what it answers (`vitlab.ops.assignment.sim_ota`). The score of an answer is p(object) ·
p(class | object); there is no class for the background. Non-maximum suppression chooses at the end.

In: float images `b h w c`, normalised, zero outside of their size. Out: a dict, see `YOLO`. Loads
the weights of its authors (`vitlab.pretrained.families.yolo`).
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vitlab.errors import UserError
from vitlab.layers.choices import check_answers, compute_dtype, pick_size
from vitlab.layers.darknet import Chain, Layers, csp_darknet, darknet, leaky_relu, padded
from vitlab.layers.dense import Dense
from vitlab.layers.norms import make_norm
from vitlab.layers.pyramids import path_aggregation, top_down
from vitlab.ops.assignment import sim_ota
from vitlab.ops.boxes import Detections, Objects, Term, cxcywh_to_xyxy, iou, xyxy_to_cxcywh
from vitlab.ops.cells import Cells, Keep, cells, detected, side_by_side, told
from vitlab.ops.losses import binary_cross_entropy

STRIDES = (8, 16, 32)
PRIOR = 0.01  # the probability of an object, and of each class, before training


class Size(NamedTuple):
  width: int  # channels of the stem
  depths: tuple[int, ...]  # blocks of each stage
  body: str = 'csp'
  depthwise: bool = False


VARIANTS = {
  'mu': Size(8, (1, 1, 1, 1)),  # for tests
  'nano': Size(16, (1, 3, 3, 1), depthwise=True),
  'tiny': Size(24, (1, 3, 3, 1)),
  's': Size(32, (1, 3, 3, 1)),
  'm': Size(48, (2, 6, 6, 2)),
  'l': Size(64, (3, 9, 9, 3)),
  'x': Size(80, (4, 12, 12, 4)),
  'darknet53': Size(32, (1, 2, 8, 8, 4), 'darknet'),  # table 2: the head on YOLOv3's body
}


class Tower(nn.Module):
  """The separate ways of classes and boxes behind one map (the decoupled head of figure 2).

  Attributes:
    stem: (map, train) -> map.
    class_branch: What the classes are told by.
    box_branch: What box and objectness are told by.
  """

  stem: nn.Module
  class_branch: nn.Module
  box_branch: nn.Module

  @nn.compact
  def __call__(
    self, x: Float[Array, 'b h w c'], train: bool = False
  ) -> tuple[Float[Array, 'b h w d'], Float[Array, 'b h w d']]:
    x = self.stem(x, train)
    return self.class_branch(x, train), self.box_branch(x, train)


class YOLO(nn.Module):
  """YOLOX, composed of its parts.

  Attributes:
    body: (image, train) -> maps, of which the last three are used.
    pyramid: (maps, train) -> maps.
    towers: Of each map.
    num_classes: Number of class logits.
    l1: Whether the loss has the coded boxes' own term.
    keep: Which answers are left at the end.
    dtype: Of the answers.
  """

  body: nn.Module
  pyramid: nn.Module
  towers: Sequence[nn.Module]
  num_classes: int
  l1: bool = False
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
    """Answers in every cell.

    Args:
      image: Normalised images; to sides that the coarsest stride divides, zeros are added.
      size: Not read: cells outside of it learn that nothing is there.
      train: Whether batchnorm uses the batch.
      objects: Not read.

    Returns:
      'levels', the maps behind the pyramid, from fine to coarse; of each cell q of these maps, row
      by row: 'boxes' [b q 4], the codes that they come from, 'deltas' [b q 4], and the logits
      'objectness' [b q] and 'logits' [b q classes], in at least float32.
    """
    del size, objects
    levels = self.pyramid(self.body(padded(image, STRIDES[-1]), train)[-3:], train)
    guess = nn.initializers.constant(-math.log((1 - PRIOR) / PRIOR))
    head = partial(Dense, dtype=self.dtype, kernel_init=nn.initializers.normal(0.01))
    maps = []
    for i, (x, tower) in enumerate(zip(levels, self.towers)):
      named, placed = tower(x, train)
      deltas = head(4, name=f'box_head_{i}')(placed)
      objectness = head(1, bias_init=guess, name=f'objectness_head_{i}')(placed)
      logits = head(self.num_classes, bias_init=guess, name=f'class_head_{i}')(named)
      maps.append(dict(deltas=deltas, objectness=objectness[..., 0], logits=logits))
    out = {name: side_by_side([m[name] for m in maps]) for name in maps[0]}
    return out | dict(levels=levels, boxes=decode(out['deltas'], cells(levels, STRIDES)))

  @nn.nowrap
  def losses(
    self, out: dict[str, Any], objects: Objects, size: Int[Array, 'b 2'], mask: Bool[Array, ' b']
  ) -> dict[str, Term]:
    """Of section 2.1, as sums over cells, and the number of cells that answer for an object.

    The overlap with its object is both what a cell's box is to raise (1 - IoU²) and how sure of
    the class it is to be.

    Args:
      out: What the model gives.
      objects: To be found.
      size: Not read.
      mask: False: a row that weighs nothing.
    """
    del size
    objects = objects.where(mask)
    grid = cells(out['levels'], STRIDES)
    owner, overlap = jax.vmap(sim_ota, (0, 0, 0, None, None, 0))(
      out['boxes'],
      out['logits'],
      out['objectness'],
      jnp.asarray((grid.corners + 0.5) * grid.strides[:, None]),
      jnp.asarray(grid.strides),
      objects,
    )
    answers, boxes, right = told(objects, owner, out['logits'])
    count = answers.sum().astype(overlap.dtype)
    total = lambda loss, where: Term(jnp.where(where, loss, 0).sum(), count)  # noqa: E731
    shift = out['deltas'] - encode(boxes, grid)
    terms = {
      'class': total(
        binary_cross_entropy(out['logits'], right * overlap[..., None]).sum(-1), answers
      ),
      'objectness': total(binary_cross_entropy(out['objectness'], answers), mask[:, None]),
      'box': total(1 - iou(out['boxes'], boxes) ** 2, answers)._replace(weight=5.0),
    }
    return terms | ({'l1': total(jnp.abs(shift).sum(-1), answers)} if self.l1 else {})

  @nn.nowrap
  def detect(
    self, out: dict[str, Any], size: Int[Array, 'b 2'], suppress: bool = True
  ) -> Detections:
    """The answers that are left, see `vitlab.ops.cells.detected`."""
    return detected(out, size, self.keep, suppress)


def decode(deltas: Float[Array, 'b q 4'], grid: Cells) -> Float[Array, 'b q 4']:
  """The boxes that are coded so: centre from the cell's corner, logarithm of the sides."""
  strides = grid.strides[:, None]
  centre = (deltas[..., :2] + grid.corners) * strides
  return cxcywh_to_xyxy(jnp.concatenate([centre, jnp.exp(deltas[..., 2:]) * strides], axis=-1))


def encode(boxes: Float[Array, 'b q 4'], grid: Cells) -> Float[Array, 'b q 4']:
  """The codes of these boxes in these cells."""
  boxes = xyxy_to_cxcywh(boxes) / grid.strides[:, None]
  shift = boxes[..., :2] - grid.corners
  return jnp.concatenate([shift, jnp.log(boxes[..., 2:] + 1e-8)], axis=-1)


def make(
  variant: str = 's',
  num_classes: int = 80,
  *,
  width: int | None = None,
  depths: Sequence[int] | None = None,
  l1: bool = False,
  norm_epsilon: float = 1e-3,
  score_threshold: float = 0.01,
  nms_iou: float = 0.65,
  max_detections: int = 100,
  dtype: str = 'float32',
) -> YOLO:
  """Composes a YOLOX.

  Args:
    variant: A size of `VARIANTS`.
    num_classes: Number of classes; the background is none.
    width: Channels of the stem, instead of the variant's.
    depths: Blocks of each stage, instead of the variant's.
    l1: Whether the loss has a term for the coded boxes too. The authors add it for the last 15 of
      300 epochs, which see no mosaic.
    norm_epsilon: Added to the variance in the norms. The authors train with 1e-3, which their model
      alone does not say, and with a momentum of 0.03.
    score_threshold: The least score of an answer.
    nms_iou: Overlap (IoU) above which the less sure of two answers of one class is suppressed.
    max_detections: Answers to a picture at most; COCO looks at 100.
    dtype: The type of what is computed, 'bfloat16' or 'float32'. Parameters, norm statistics and
      answers stay float32.

  Raises:
    UserError: a word or number that cannot be used; lists what is possible.
  """
  size = pick_size('YOLO', VARIANTS, variant, width=width, depths=depths)
  check_answers('YOLO', num_classes, score_threshold, nms_iou, max_detections)
  compute = compute_dtype(dtype)
  norm = partial(make_norm, 'batchnorm', norm_epsilon, compute, maps=True, momentum=0.03)
  activation = leaky_relu if size.body == 'darknet' else nn.silu
  layers = Layers(norm, activation, size.depthwise, compute)
  body, pyramid, channels = _body(layers, size)

  branch = lambda: Chain([layers.spatial(channels, channels) for _ in range(2)])  # noqa: E731
  towers = [Tower(layers.conv(channels), branch(), branch()) for _ in STRIDES]
  keep = Keep(score_threshold, nms_iou, detections=max_detections)
  return YOLO(body, pyramid, towers, num_classes, l1, keep, jnp.promote_types(compute, jnp.float32))


def _body(layers: Layers, size: Size) -> tuple[nn.Module, nn.Module, int]:
  """Body, pyramid and the channels in the heads; the stages need to end at 32 pixels."""
  stages = dict(csp=4, darknet=5)[size.body]
  if len(size.depths) != stages:
    raise UserError(f'YOLO: depths={size.depths} need to be {stages}, one for each stage')
  if size.body == 'darknet':
    body = darknet(layers, size.width, size.depths, spp=True)
    return body, top_down(layers, size.width), 8 * size.width
  body = csp_darknet(layers, size.width, size.depths)
  return body, path_aggregation(layers, size.width, size.depths[0]), 4 * size.width
