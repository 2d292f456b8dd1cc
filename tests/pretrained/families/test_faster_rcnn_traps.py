"""Every trap of Faster R-CNN that torchvision's numbers hold would be seen."""

from functools import cache

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import faster_rcnns, parity

from vitlab.layers import fpn, rpn
from vitlab.models import faster_rcnn
from vitlab.ops import anchors, answers, proposals, roi_align


@cache
def variables():
  """Ours of version 1."""
  return faster_rcnns.load(faster_rcnns.drawn().state_dict(), faster_rcnns.ours())


def mistaken(**options) -> float:
  """How far off a model is that is built now, on the maps of their backbone."""
  model = faster_rcnns.ours(backbone=faster_rcnns.Given(), **options)
  return faster_rcnns.difference(faster_rcnns.find(model, variables()), faster_rcnns.oracle())


def test_the_rest_is_right_on_their_maps(x64):
  assert mistaken() < 1e-10


def without_rounding(sizes, ratios):
  ratios = np.sqrt(np.repeat(ratios, len(sizes)))
  sides = np.stack([np.tile(sizes, len(ratios) // len(sizes)) / ratios, ratios * sizes[0]], 1)
  return np.concatenate([-sides, sides], 1) / 2


def centred(height, width, stride, cells, right=anchors.grid):
  return right(height, width, stride, cells) + jnp.asarray([*stride[::-1], *stride[::-1]]) / 2


def all_levels_together(*args, anchors, right=proposals.propose, **options):
  return right(*args, anchors=[jnp.concatenate(anchors)], **options)


def without_classes(boxes, scores, classes, *args, right=answers.batched_nms):
  return right(boxes, scores, 0 * classes, *args)


def bilinear(x, sides):
  return jax.image.resize(x, (len(x), *sides, x.shape[-1]), 'bilinear')


def regions(**wrong):
  return lambda *args, **options: roi_align.multilevel_roi_align(*args, **options, **wrong)


class Averaged(fpn.FPN):
  """Whose coarsest level is a mean instead of every second pixel."""

  @nn.compact
  def __call__(self, maps, train=False):
    *levels, last = super().__call__(maps, train)
    mean = levels[-1].reshape(len(last), 2, 2, -1, levels[-1].shape[-1])
    return [*levels, last + mean.mean((1, 2, 3))[:, None, None]]


TRAPS = {
  'anchors are rounded': (faster_rcnn, 'cell_anchors', without_rounding),
  'anchors are centred at the corner of a cell': (rpn, 'grid', centred),
  'the best are of each level, and meet there': (rpn, 'propose', all_levels_together),
  'proposals are cut at the picture, not at its padding': (proposals, 'clip', lambda x, size: x),
  'proposals of one place': (rpn, 'PROPOSAL_IOU', 0.9),
  'upsampling is nearest': (fpn, 'doubled', bilinear),
  'the coarsest level is a sample': (faster_rcnn, 'FPN', Averaged),
  'RoIAlign is not aligned': (faster_rcnn, 'multilevel_roi_align', regions(aligned=True)),
  'two samples a bin': (faster_rcnn, 'multilevel_roi_align', regions(sampling_ratio=1)),
  'a level for each size': (roi_align, 'CANONICAL_SIDE', 32),
  'deltas of regions have weights': (faster_rcnn, 'WEIGHTS', (1.0, 1.0, 1.0, 1.0)),
  'answers are cut at the picture': (faster_rcnn, 'clip', lambda x, size: x),
  'answers of one class': (answers, 'batched_nms', without_classes),
}


@pytest.mark.parametrize(('module', 'name', 'wrong'), TRAPS.values(), ids=TRAPS.keys())
def test_a_trap_would_be_seen(module, name, wrong, monkeypatch, x64):
  monkeypatch.setattr(module, name, wrong)
  assert mistaken() > 1e-3


@pytest.mark.parametrize(
  'options',
  [
    dict(candidates=(30, 30)),  # those of training
    dict(proposals=(60, 60)),
    dict(score_threshold=0.5),
    dict(nms_iou=0.6),
    dict(max_detections=29),
  ],
)
def test_another_number_would_be_seen(options, x64):
  assert mistaken(**options) > 1e-3


def test_background_at_the_other_end_would_be_seen(x64):
  """As in DETR, where what is no object comes last."""
  turned = jax.tree.map(
    lambda leaf: jnp.roll(leaf, -1, axis=-1), variables()['params']['region_class_head']
  )
  model = faster_rcnns.ours(backbone=faster_rcnns.Given())
  others = variables()['params'] | dict(region_class_head=turned)
  assert (
    faster_rcnns.difference(
      faster_rcnns.find(model, variables() | dict(params=others)), faster_rcnns.oracle()
    )
    > 1e-3
  )


@cache
def learned():
  """What ours gives in training, on their maps, and its losses."""
  model = faster_rcnns.ours(backbone=faster_rcnns.Given())

  @jax.jit
  def run():
    image, size = faster_rcnns.inputs()
    rngs = dict(dropout=jax.random.key(3))
    out = model.apply(variables(), image, size, True, faster_rcnns.objects(), rngs=rngs)
    return out, losses_of(model, out)

  return model, *run()


def losses_of(model, out, mask=(True, True)):
  objects = faster_rcnns.objects()
  return faster_rcnns.means(model.losses(out, objects, faster_rcnns.inputs()[1], jnp.asarray(mask)))


LEARNING = {
  'smooth L1 bends at a ninth': ('BETA', 1.0),
  'boxes are divided by all that is drawn': (
    'mean',
    lambda values, drawn, mask, right=proposals.mean: right(
      values, drawn._replace(valid=drawn.valid & drawn.found), mask
    ),
  ),
  'deltas have the weights of their kind': (
    'encode_deltas',
    lambda boxes, origin, weights, right=proposals.encode_deltas: right(boxes, origin),
  ),
}


@pytest.mark.parametrize(('name', 'wrong'), LEARNING.values(), ids=LEARNING.keys())
def test_a_trap_of_the_losses_would_be_seen(name, wrong, monkeypatch, x64):
  model, out, right = learned()
  monkeypatch.setattr(proposals, name, wrong)
  assert abs(losses_of(model, out)['box'] - right['box']) > 1e-3


def test_a_picture_that_does_not_count_weighs_nothing(x64):
  model, out, _ = learned()
  one = losses_of(model, out, (True, False))
  wrong = jax.tree.map(
    lambda x: x.at[1].set(np.nan) if x.dtype == jnp.float64 and len(x) == 2 else x, out
  )
  assert parity.error(losses_of(model, wrong, (True, False)), one) == 0
