"""Suppression against torchvision's, in its order, on random boxes, ties and degenerate ones."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import torchvision_shim  # noqa: F401
from torchvision import ops as reference

from vitlab.ops import nms as ours

CASES, BOXES = 200, 24
THRESHOLDS = (0.3, 0.5, 0.7)


def random_case(seed):
  """Boxes around few objects; a half of the cases in whole numbers, with ties of all kinds."""
  rng = np.random.default_rng(seed)
  centre = rng.uniform(0, 30, (4, 2))[rng.integers(0, 4, BOXES)] + rng.normal(0, 2, (BOXES, 2))
  half = rng.uniform(3, 8, (BOXES, 2))
  boxes, scores = np.concatenate([centre - half, centre + half], -1), rng.random(BOXES)
  if seed % 2:
    boxes, scores = np.round(boxes / 4) * 4, np.round(scores * 5) / 5
  return boxes, scores, rng.integers(0, 3, BOXES)


@functools.cache
def suppressor(iou_threshold, max_kept):
  return jax.jit(jax.vmap(lambda *a: ours.nms(*a, iou_threshold, max_kept)))


def kept_of(boxes, scores, iou_threshold=0.5):
  """Which are kept, by `nms` on one picture."""
  index, kept = suppressor(iou_threshold, len(boxes))(jnp.array([boxes]), jnp.array([scores]))
  return index[kept].tolist()


def test_equals_torchvision(x64):
  boxes, scores, _ = map(np.stack, zip(*map(random_case, range(CASES)), strict=True))
  for threshold in THRESHOLDS:
    indices, all_kept = map(np.asarray, suppressor(threshold, BOXES)(boxes, scores))
    assert 0.2 < all_kept.mean() < 0.9
    for index, kept, *case in zip(indices, all_kept, boxes, scores, strict=True):
      expected = reference.nms(*map(torch.tensor, case), threshold)
      np.testing.assert_array_equal(index[kept], expected)
      assert kept[: len(expected)].all()


def test_round_by_round_is_row_by_row(x64):
  boxes, scores, classes = map(np.stack, zip(*map(random_case, range(CASES)), strict=True))
  present = np.random.default_rng(0).random(scores.shape) < 0.8
  row_by_row, round_by_round = (
    jax.jit(jax.vmap(functools.partial(way, iou_threshold=0.4)))(boxes, classes % 2, present)
    for way in (ours._row_by_row, ours._round_by_round)
  )
  assert 0.2 < row_by_row.mean() < 0.7
  np.testing.assert_array_equal(row_by_row, round_by_round)


def test_each_class_equals_torchvision(x64):
  boxes, scores, classes = map(np.stack, zip(*map(random_case, range(CASES)), strict=True))
  boxes += 30  # nothing at negative places, see below
  run = jax.jit(jax.vmap(lambda *a: ours.batched_nms(*a, 0.5, BOXES)))
  answers = zip(*map(np.asarray, run(boxes, scores, classes)), strict=True)
  for (index, kept), *case in zip(answers, boxes, scores, classes, strict=True):
    expected = reference.batched_nms(*map(torch.tensor, case), 0.5)
    np.testing.assert_array_equal(index[kept], expected)


def test_no_class_reaches_another_at_negative_places():
  boxes = jnp.array([[0.0, 0, 10, 10], [-11, -11, -1, -1]])
  scores, classes = jnp.array([0.9, 0.8]), jnp.array([0, 1])
  torch_case = (torch.tensor(np.asarray(a)) for a in (boxes, scores, classes))
  assert reference.batched_nms(*torch_case, 0.5).tolist() == [0]
  _, kept = ours.batched_nms(boxes, scores, classes, 0.5, 2)
  assert kept.all()


def test_nan_first_and_empty_boxes_stay():
  boxes = [[5.0, 5, 5, 5], [5, 5, 5, 5], [0, 0, 10, 10], [0, 0, 10, 10]]
  assert kept_of(boxes, [0.9, 0.8, jnp.nan, 0.7]) == [2, 0, 1]


def test_as_much_as_the_threshold_is_not_too_much():
  assert kept_of([[0.0, 0, 10, 10], [0, 0, 10, 5]], [0.9, 0.8]) == [0, 1]
  assert kept_of([[0.0, 0, 10, 10], [0, 0, 10, 5]], [0.9, 0.8], 0.49) == [0]
  assert kept_of([[0.0, 0, 10, 10], [0, 0, 10, 3]], [0.9, 0.8], 0.3) == [0, 1]  # in float32 too


def test_ties_keep_the_order_of_input():
  assert kept_of([[0.0, 0, 10, 10], [1, 0, 10, 10], [50, 0, 60, 10]], [0.5, 0.5, 0.5]) == [0, 2]


def test_what_is_suppressed_suppresses_nothing():
  boxes = [[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]]
  assert kept_of(boxes, [0.9, 0.8, 0.7], 0.4) == [0, 2]


def test_a_box_with_nan_overlaps_nothing():
  boxes = [[0.0, jnp.nan, 10, 10], [0, 0, 10, 10], [0, 0, 10, 9]]
  assert kept_of(boxes, [0.9, 0.8, 0.7]) == [0, 1]


def test_minus_infinity_is_no_box():
  boxes = [[0.0, 0, 10, 10]] * 3
  assert kept_of(boxes, [-jnp.inf, -jnp.inf, -5.0]) == [2]
  assert kept_of(boxes, [-jnp.inf] * 3) == []


@pytest.mark.parametrize('max_kept', [0, 1, 2, 9])
def test_rows_of_the_answer(max_kept):
  boxes = jnp.array([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10], [40, 0, 50, 10]])
  index, kept = ours.nms(boxes, jnp.array([0.7, 0.9, 0.3, 0.5]), 0.5, max_kept)
  assert index.shape == kept.shape == (max_kept,)
  assert index.dtype == jnp.int32
  assert index[kept].tolist() == [1, 3, 2][:max_kept]


def soft_reference(boxes, scores, decay, min_score):
  """Algorithm 1 of Bodla et al., in its words."""
  left, taken = dict(enumerate(scores.tolist())), []
  while left:
    best = max(left, key=lambda i: (left[i], -i))
    taken.append((best, left.pop(best)))
    overlaps = reference.box_iou(torch.tensor(boxes[[best]]), torch.tensor(boxes))[0]
    left = {i: score * decay(float(overlaps[i])) for i, score in left.items()}
  return [pair for pair in taken if pair[1] >= min_score]


@pytest.mark.parametrize('name', ['gaussian', 'linear'])
def test_soft_equals_the_algorithm(x64, name):
  decays = {
    'gaussian': lambda o: np.exp(-(o**2) / 0.5),
    'linear': lambda o: 1 - o if o > 0.3 else 1.0,
  }
  cases = [random_case(seed)[:2] for seed in range(0, 40, 2)]
  classes = jnp.zeros(BOXES, jnp.int32)
  decay = getattr(ours, name)
  run = jax.jit(jax.vmap(lambda *a: ours.soft_nms(*a, classes, BOXES, decay, 0.2)))
  answers = zip(*map(np.asarray, run(*map(np.stack, zip(*cases, strict=True)))), strict=True)
  for (index, score), case in zip(answers, cases, strict=True):
    expected = soft_reference(*case, decays[name], 0.2)
    assert 1 < len(expected) < BOXES  # some have become too unsure
    np.testing.assert_array_equal(index[score > 0], [i for i, _ in expected])
    np.testing.assert_allclose(score[score > 0], [s for _, s in expected], rtol=1e-12)


def test_soft_with_a_hard_decay_is_nms_of_each_class():
  boxes, _, _ = random_case(0)
  boxes, classes = jnp.asarray(np.tile(boxes, (2, 1))), jnp.arange(2 * BOXES) % 5
  scores = jnp.asarray(np.random.default_rng(0).permutation(2 * BOXES) + 1.0)

  def hard(overlap):
    return jnp.where(overlap > 0.5, 0.0, 1.0)

  index, score = ours.soft_nms(boxes, scores, classes, 2 * BOXES, hard)
  expected, kept = ours.batched_nms(boxes, scores, classes, 0.5, 2 * BOXES)
  assert not kept.all()
  np.testing.assert_array_equal(index[score > 0], expected[kept])
  np.testing.assert_array_equal(score[score > 0], scores[expected[kept]])
