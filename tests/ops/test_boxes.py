"""Codings and overlaps of boxes against torchvision, in float64, and where it has NaN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import torchvision_shim  # noqa: F401
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import boxes as reference

from vitlab.ops import boxes as ours

RNG = np.random.default_rng(0)
CODINGS = ['xyxy_to_cxcywh', 'cxcywh_to_xyxy', 'xyxy_to_xywh', 'xywh_to_xyxy']


def random_boxes(*shape, whole=False):
  """Some apart, some nested, some alike; whole numbers touch and coincide."""
  low, extent = RNG.uniform(0, 12, (*shape, 2)), RNG.uniform(1, 9, (*shape, 2))
  boxes = np.concatenate([low, low + extent], -1)
  return np.round(boxes) if whole else boxes


A, B = (np.concatenate([random_boxes(150), random_boxes(150, whole=True)]) for _ in 'ab')
A[:3], B[:3] = [[0, 0, 4, 2]], [[0, 0, 4, 2], [4, 0, 6, 2], [1, 1, 2, 1.5]]  # alike, touch, nested


@pytest.mark.parametrize('coding', CODINGS)
def test_codings(x64, coding):
  source, target = coding.split('_to_')
  expected = reference.box_convert(torch.tensor(A), source, target)
  np.testing.assert_allclose(getattr(ours, coding)(jnp.asarray(A)), expected, atol=1e-12)


def test_overlaps_and_their_gradients(x64):
  a, b = torch.tensor(A, requires_grad=True), torch.tensor(B, requires_grad=True)
  pairs = {
    ours.pairwise_iou: reference.box_iou,
    ours.pairwise_giou: reference.generalized_box_iou,
    lambda a, b: ours.diou(a[:, None], b[None]): lambda a, b: reference.distance_box_iou(a, b, 0),
  }
  slope = RNG.normal(size=(300, 300))
  unequal = np.arange(300) >= 150  # at ties of whole numbers a gradient is a matter of taste
  unequal[:3] = True
  slope[unequal] = slope[:, unequal] = 0
  for pairwise, theirs in pairs.items():
    values, pull = jax.vjp(pairwise, jnp.asarray(A), jnp.asarray(B))
    expected = theirs(a, b)
    np.testing.assert_allclose(values, expected.detach(), atol=1e-12)
    gradients = torch.autograd.grad((expected * torch.tensor(slope)).sum(), (a, b))
    for got, want in zip(pull(jnp.asarray(slope)), gradients, strict=True):
      np.testing.assert_allclose(got, want, atol=1e-10)


def test_a_box_at_the_same_place_and_all_pairs_agree():
  a, b = jnp.asarray(A), jnp.asarray(B)
  np.testing.assert_array_equal(ours.iou(a, b), jnp.diagonal(ours.pairwise_iou(a, b)))
  np.testing.assert_array_equal(ours.giou(a, b), jnp.diagonal(ours.pairwise_giou(a, b)))


def test_no_pixel_is_added():
  box, half = jnp.array([0.0, 0, 10, 10]), jnp.array([0.0, 0, 10, 5])
  assert ours.area(box) == 100
  assert ours.iou(box, half) == 0.5
  assert ours.iou(box, jnp.array([10.0, 0, 20, 10])) == 0


def test_values_by_hand():
  near, far = jnp.array([0.0, 0, 1, 1]), jnp.array([2.0, 2, 3, 3])
  np.testing.assert_allclose(ours.giou(near, far), -7 / 9, rtol=1e-6)
  np.testing.assert_allclose(ours.diou(near, far), -8 / 18, rtol=1e-6)


@pytest.mark.parametrize('overlap', [ours.iou, ours.giou, ours.diou])
def test_two_empty_boxes_are_zero_and_leave_no_nan_in_a_gradient(overlap):
  empty = jnp.array([[3.0, 3, 3, 3], [0, 0, 0, 0]])
  value, slope = jax.value_and_grad(lambda a: overlap(a, empty).sum())(empty)
  assert value == 0
  assert np.isfinite(slope).all()


@pytest.mark.parametrize('overlap', [ours.iou, ours.giou, ours.diou])
def test_nan_is_not_hidden(overlap):
  assert np.isnan(overlap(jnp.array([0.0, 0, jnp.nan, 1]), jnp.array([0.0, 0, 1, 1])))


@pytest.mark.parametrize('weights', [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)])
def test_deltas(x64, weights):
  coder = BoxCoder(weights)
  boxes, anchors = torch.tensor(A[3:150]), torch.tensor(B[3:150])
  deltas = ours.encode_deltas(jnp.asarray(boxes), jnp.asarray(anchors), weights)
  np.testing.assert_allclose(deltas, coder.encode_single(boxes, anchors), atol=1e-12)
  decoded = ours.decode_deltas(deltas, jnp.asarray(anchors), weights)
  np.testing.assert_allclose(decoded, boxes, atol=1e-9)
  wild = RNG.normal(0, 30, (147, 4))  # many a growth beyond the bound
  expected = coder.decode_single(torch.tensor(wild), anchors)
  got = ours.decode_deltas(jnp.asarray(wild), jnp.asarray(anchors), weights)
  np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_deltas_of_no_object_are_finite():
  empty, anchor = jnp.zeros((1, 4)), jnp.array([[8.0, 8, 16, 16]])
  assert np.isfinite(ours.encode_deltas(empty, anchor)).all()
  assert np.isfinite(ours.encode_deltas(anchor, empty)).all()


def test_clip_of_each_picture_to_its_own_size():
  boxes = jnp.tile(jnp.array([[-2.0, 3, 50, 70], [40, 90, 45, 99]]), (2, 1, 1))
  clipped = ours.clip(boxes, jnp.array([[20, 30], [60, 40]]))
  expected = [[[0, 3, 30, 20], [30, 20, 30, 20]], [[0, 3, 40, 60], [40, 60, 40, 60]]]
  np.testing.assert_array_equal(clipped, expected)
