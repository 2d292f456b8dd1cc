"""Faster R-CNN on a feature pyramid: propose regions, then look at each of them again.

Ren et al. 2015 (arXiv:1506.01497) with the pyramid of Lin et al. 2016 (arXiv:1612.03144), as
torchvision has it. A backbone's maps become a pyramid; at every pixel of it anchors are asked
whether there is an object (the region proposal network). The best boxes are cut out of the pyramid
by RoIAlign, classified, and moved once more, by each class in its own way; non-maximum suppression
takes out what was found twice.

In: images b h w c, normalised, zero outside of `size`. Out: a dict that `losses` and `detect` read.
Inside, class 0 is background and class c of the data is c + 1; outside there is no background. All
numbers are fixed: of proposals, of what is drawn to learn from, of answers; what is not filled is
marked. Loads torchvision's weights (`vitlab.pretrained.families.faster_rcnn`).
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vitlab.errors import UserError, unknown
from vitlab.layers.box_head import BoxHead
from vitlab.layers.choices import check_answers, compute_dtype
from vitlab.layers.dense import Dense
from vitlab.layers.fpn import FPN
from vitlab.layers.norms import make_norm
from vitlab.layers.rpn import RPN, Numbers
from vitlab.layers.sharding import constrain_batch
from vitlab.ops.anchors import cell_anchors
from vitlab.ops.answers import surest
from vitlab.ops.boxes import Detections, Objects, Term, clip, decode_deltas
from vitlab.ops.proposals import Proposals, Sample, box_loss, draw, match, mean, pick, with_objects
from vitlab.ops.roi_align import multilevel_roi_align

Out = dict[str, Any]

DIVISOR = 32  # of the sides of a padded picture: every level is half the one before
OBJECT_IOU = 0.5  # a region has an object from here on, below it is background
POSITIVE_SHARE = 0.25  # the most of a sample of regions that have an object
WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of the deltas of regions; those of anchors are as they are
SMALLEST_SIDE = 1e-2  # of an answer, in pixels
CANDIDATES = 1000  # for answers of a picture; torchvision's are all above the threshold


class Size(NamedTuple):
  """What the two versions of torchvision differ in.

  Attributes:
    norm: Whether there is batchnorm in the pyramid.
    rpn_depth: Convolutions before anchors are asked.
    num_convs: Before regions are, with batchnorm.
    num_hidden: Dense layers behind these.
  """

  norm: bool
  rpn_depth: int
  num_convs: int
  num_hidden: int


VARIANTS = {'v1': Size(False, 1, 0, 2), 'v2': Size(True, 2, 4, 1)}


class Answers(NamedTuple):
  """What becomes an answer.

  Attributes:
    score_threshold: Above which a class of a region counts.
    nms_iou: Above which the less sure of two boxes of one class is suppressed.
    max_detections: Of a picture.
  """

  score_threshold: float = 0.05
  nms_iou: float = 0.5
  max_detections: int = 100


class FasterRCNN(nn.Module):
  """Faster R-CNN, composed of its parts.

  Attributes:
    backbone: (image, train) -> anything, out['levels'].
    fpn: (maps, train) -> the levels of the pyramid.
    rpn: Pyramid -> proposals.
    box_head: (regions, train) -> features.
    region_class_head: Features -> logits, background first.
    region_delta_head: Features -> deltas, four for each of these.
    region_size: Side of what is cut out of a level, in its pixels.
    num_samples: Regions of a picture that are learned from.
    answers: What becomes one.
  """

  backbone: nn.Module
  fpn: nn.Module
  rpn: nn.Module
  box_head: nn.Module
  region_class_head: nn.Module
  region_delta_head: nn.Module
  region_size: int = 7
  num_samples: int = 512
  answers: Answers = Answers()

  @nn.compact
  def __call__(
    self,
    image: Float[Array, 'b h w c'],
    size: Int[Array, 'b 2'],
    train: bool = False,
    objects: Objects | None = None,
  ) -> Out:
    """Proposes regions and looks at them.

    Args:
      image: Normalised images, zero outside of `size`.
      size: Height and width of each image within its padding.
      train: Whether batchnorm uses the batch, and proposals have the numbers of training.
      objects: In training, what there is to find: regions to learn from are drawn, with the rng
        'dropout'.

    Returns:
      'levels' (the pyramid, from fine to coarse), what `RPN` gives, 'proposals' (with objects, the
      regions that were drawn, and their `Sample` 'region_sample'), 'class_logits' [b p 1+classes]
      and 'deltas' [b p 1+classes 4] of these.
    """
    image = _divisible(image)
    levels = self.fpn(self.backbone(image, train)[1]['levels'], train)
    levels = [constrain_batch(level) for level in levels]
    proposals, out = self.rpn(levels, image.shape[1:3], size, train, objects)
    if objects is not None:
      proposals, out['region_sample'] = self._drawn(proposals, objects)
    # Nothing is cut out of the coarsest: it is there for large anchors.
    scales = [2.0 ** round(math.log2(x.shape[1] / image.shape[1])) for x in levels[:-1]]
    cut = partial(multilevel_roi_align, output_size=self.region_size, scales=scales)
    regions = jax.vmap(cut)(levels[:-1], proposals.boxes)
    features = self.box_head(regions.reshape(-1, *regions.shape[2:]), train)
    logits = self.region_class_head(features).reshape(*regions.shape[:2], -1)
    deltas = self.region_delta_head(features).reshape(*logits.shape, 4)
    found = dict(levels=levels, proposals=proposals, class_logits=logits, deltas=deltas)
    return out | found

  def _drawn(self, proposals: Proposals, objects: Objects) -> tuple[Proposals, Sample]:
    """Regions to learn from: of what was proposed, and of the objects themselves."""
    boxes, valid = jax.vmap(with_objects)(proposals, objects)
    matches = jax.vmap(partial(match, above=OBJECT_IOU, below=OBJECT_IOU))(boxes, objects)
    numbers = dict(count=self.num_samples, positive_share=POSITIVE_SHARE)
    drawn = draw(self.make_rng('dropout'), jnp.where(valid, matches, -2), **numbers)
    return Proposals(pick(boxes, drawn.index), drawn.valid), drawn

  @nn.nowrap
  def losses(
    self, out: Out, objects: Objects, size: Int[Array, 'b 2'], mask: Bool[Array, ' b']
  ) -> dict[str, Term]:
    """Of anchors (`RPN.losses`), and of regions: 'class', the mean, and 'box' of those with one."""
    del size
    drawn: Sample = out['region_sample']
    classes = jnp.where(drawn.found, pick(objects.classes, drawn.match) + 1, 0)[..., None]
    scores = jax.nn.log_softmax(out['class_logits'])
    wrong = -jnp.take_along_axis(scores, classes, -1)[..., 0]
    deltas = jnp.take_along_axis(out['deltas'], classes[..., None], -2)[..., 0, :]
    box = box_loss(deltas, out['proposals'].boxes, objects, drawn, mask, WEIGHTS)
    return self.rpn.losses(out, objects, mask) | {'class': mean(wrong, drawn, mask), 'box': box}

  @nn.nowrap
  def detect(self, out: Out, size: Int[Array, 'b 2'], suppress: bool = True) -> Detections:
    """The surest boxes of all classes.

    Args:
      out: What the model gave, without objects.
      size: As the model was given it.
      suppress: Whether, of boxes of one class that overlap, the surest alone is an answer.
    """
    rules, proposals = self.answers, out['proposals']
    scores = jax.nn.softmax(out['class_logits'])[..., 1:]
    boxes = decode_deltas(out['deltas'][..., 1:, :], proposals.boxes[..., None, :], WEIGHTS)
    boxes = clip(boxes.reshape(boxes.shape[0], -1, 4), size)
    large = (boxes[..., 2:] - boxes[..., :2] >= SMALLEST_SIDE).all(-1).reshape(scores.shape)
    counts = proposals.valid[..., None] & large & (scores > rules.score_threshold)
    classes = jnp.broadcast_to(jnp.arange(scores.shape[-1]), scores.shape)
    flat = (boxes, *(x.reshape(x.shape[0], -1) for x in (jnp.where(counts, scores, 0), classes)))
    options = dict(count=rules.max_detections, candidates=rules.max_detections, iou_threshold=None)
    if suppress:
      options |= dict(candidates=CANDIDATES, iou_threshold=rules.nms_iou)
    return jax.vmap(partial(surest, **options))(*flat)


def _divisible(image: Float[Array, 'b h w c']) -> Float[Array, 'b y x c']:
  """More zeros below and on the right, until pixels of every level are a whole number."""
  rows, columns = (-n % DIVISOR for n in image.shape[1:3])
  return jnp.pad(image, ((0, 0), (0, rows), (0, columns), (0, 0)))


def make(
  backbone: nn.Module,
  num_classes: int,
  variant: str = 'v1',
  *,
  channels: int = 256,
  hidden: int = 1024,
  anchor_sizes: Sequence[Sequence[int | float]] = ((32,), (64,), (128,), (256,), (512,)),
  anchor_ratios: Sequence[int | float] = (0.5, 1.0, 2.0),
  candidates: Sequence[int] = (2000, 1000),
  proposals: Sequence[int] = (2000, 1000),
  samples: Sequence[int] = (256, 512),
  region_size: int = 7,
  score_threshold: float = 0.05,
  nms_iou: float = 0.5,
  max_detections: int = 100,
  dtype: str = 'float32',
) -> FasterRCNN:
  """Composes a Faster R-CNN.

  Args:
    backbone: A model with 'levels' among what it gives, each half the size of the one before.
    num_classes: Number of classes, background not among them.
    variant: 'v1', of the paper of the pyramid, or torchvision's 'v2' (arXiv:2111.11429): batchnorm
      in the pyramid, two convolutions before anchors are asked, four before regions are.
    channels: Of every level of the pyramid.
    hidden: Width of the features of a region.
    anchor_sizes: Of each level the sides of its square anchors, in pixels of the image; one level
      more than the backbone has.
    anchor_ratios: Height divided by width of the anchors of every size.
    candidates: Boxes of each level that meet non-maximum suppression, in training and otherwise.
    proposals: Boxes of a picture that remain of them, in training and otherwise.
    samples: Anchors and regions of a picture that are learned from.
    region_size: Side of what is cut out of a level for each region, in its pixels.
    score_threshold: Probability above which a class of a region is an answer.
    nms_iou: Overlap (IoU) above which the less sure of two answers of one class is suppressed.
    max_detections: The most answers to one picture.
    dtype: The type of what is computed, 'bfloat16' or 'float32'; boxes, scores and losses are at
      least float32.

  Raises:
    UserError: a word or number that cannot be used; lists what is possible.
  """
  if variant not in VARIANTS:
    raise unknown('Faster R-CNN variant', variant, VARIANTS)
  check_answers('Faster R-CNN', num_classes, score_threshold, nms_iou, max_detections)
  _check_pairs(candidates=candidates, proposals=proposals, samples=samples)
  sizes, compute = VARIANTS[variant], compute_dtype(dtype)
  if min((*anchor_ratios, *(side for level in anchor_sizes for side in level)), default=0) <= 0:
    raise UserError(
      f'faster_rcnn: anchor_sizes={anchor_sizes}, anchor_ratios={anchor_ratios} are to be positive'
    )
  if len({len(level) for level in anchor_sizes}) != 1:
    raise UserError(f'faster_rcnn: anchor_sizes={anchor_sizes} is to have as many for every level')
  cells = tuple(
    tuple(map(tuple, cell_anchors(level, anchor_ratios).tolist())) for level in anchor_sizes
  )
  norm = partial(make_norm, 'batchnorm', 1e-5, compute, maps=True)

  def head(features: int, spread: float) -> Dense:
    at_least = jnp.promote_types(compute, jnp.float32)
    return Dense(features, dtype=at_least, kernel_init=nn.initializers.normal(spread))

  return FasterRCNN(
    backbone,
    FPN(channels, norm() if sizes.norm else None, compute),
    RPN(cells, *map(Numbers, candidates, proposals), samples[0], sizes.rpn_depth, compute),
    BoxHead((hidden,) * sizes.num_hidden, (channels,) * sizes.num_convs, norm(), compute),
    head(1 + num_classes, 0.01),
    head(4 * (1 + num_classes), 0.001),
    region_size,
    samples[1],
    Answers(score_threshold, nms_iou, max_detections),
  )


def _check_pairs(**pairs: Sequence[int]) -> None:
  for name, pair in pairs.items():
    if len(pair) != 2 or min(pair) < 1:
      raise UserError(f'faster_rcnn: {name}={pair} is to be two numbers of 1 or more')
