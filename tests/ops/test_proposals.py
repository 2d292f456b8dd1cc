"""What is proposed and what is learned from: in fixed numbers, and by torchvision's rules."""

from functools import partial

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from vitlab.ops import proposals
from vitlab.ops.boxes import Objects
from vitlab.ops.proposals import Proposals, Sample

SIZE = jnp.asarray([40, 60], jnp.int32)
OPTIONS = dict(candidates=3, count=4, iou_threshold=0.7)


def boxes(count, seed=0, side=40):
  numbers = np.random.default_rng(seed)
  low = numbers.uniform(0, side, (count, 2))
  return np.concatenate([low, low + numbers.uniform(2, side, (count, 2))], 1).astype(np.float32)


def proposed(objectness, levels, deltas=None, **options):
  deltas = jnp.zeros((len(objectness), 4)) if deltas is None else deltas
  options = OPTIONS | options
  levels = [jnp.asarray(level, jnp.float32) for level in levels]
  return proposals.propose(
    jnp.asarray(objectness, jnp.float32), deltas, SIZE, anchors=levels, **options
  )


def test_the_best_of_all_levels_come_first_and_the_rest_is_empty():
  levels = [[[0, 0, 9, 9], [20, 20, 30, 30]], [[0, 0, 9, 9]]]
  found = proposed([0.5, -3.0, 2.0], levels)
  # Two equal boxes of two levels: they do not meet.
  expected = [[0, 0, 9, 9], [0, 0, 9, 9], [20, 20, 30, 30]]
  assert found.boxes.tolist() == expected
  assert found.valid.tolist() == [True] * 3
  one = proposed([0.5, -3.0, 2.0], [sum(levels, [])])
  assert one.boxes.tolist() == [[0, 0, 9, 9], [20, 20, 30, 30], [0, 0, 0, 0]]
  assert one.valid.tolist() == [True, True, False]


def test_so_many_of_each_level_meet_and_so_many_remain():
  far = [[20 * i, 0, 20 * i + 5, 5] for i in range(3)]
  low = [[20 * i, 20, 20 * i + 5, 25] for i in range(3)]
  scores = [5, 4, 3, 2, 1, 0]
  assert proposed(scores, [far, low], candidates=2).boxes.tolist() == [*far[:2], *low[:2]]
  assert proposed(scores, [far, low], count=2).boxes.tolist() == far[:2]


def test_what_lies_beyond_the_picture_is_cut_or_no_proposal():
  found = proposed([1, 2], [[[50, 30, 70, 50], [61, 0, 70, 9]]])
  assert found.boxes.tolist() == [[50, 30, 60, 40], [0, 0, 0, 0]]


def test_no_gradient_flows_through_a_proposal():
  anchors = [boxes(3)]
  slope = jax.grad(lambda d: proposed([1, 2, 3], anchors, d).boxes.sum())(jnp.ones((3, 4)))
  assert (slope == 0).all()


def matched(some, known, above, below, low_quality):
  """Ours, of many pictures with three rows that are empty."""
  padded = np.concatenate([known, np.zeros((len(known), 3, 4), np.float32)], 1)
  classes = np.tile([1, 2, 3, 0, 0, -1, -1, -1], (len(known), 1))
  match = partial(proposals.match, above=above, below=below, low_quality=low_quality)
  objects = Objects(jnp.asarray(padded), jnp.asarray(classes, jnp.int32))
  return jax.jit(jax.vmap(match))(jnp.asarray(some), objects)


@pytest.mark.parametrize(
  ('above', 'below', 'low_quality'),
  [(0.7, 0.3, True), (0.5, 0.5, False)],
  ids=['anchors', 'regions'],
)
def test_matches_as_torchvision_does(above, below, low_quality):
  some = np.stack([boxes(200, seed) for seed in range(20)])
  known = np.stack([boxes(5, 100 + seed) for seed in range(20)])
  some[:, :3] = some[:, :1]  # several that share equally much
  match = Matcher(above, below, allow_low_quality_matches=low_quality)
  theirs = [match(box_iou(*map(torch.tensor, pair))).numpy() for pair in zip(known, some)]
  theirs = np.stack(theirs)
  np.testing.assert_array_equal(matched(some, known, above, below, low_quality), theirs)
  wrong = [(above + 0.1, below), (above, below - 0.2)]
  wrong = [(*pair, low_quality) for pair in wrong] + [(above, below, not low_quality)]
  assert all((matched(some, known, *options) != theirs).any() for options in wrong)


def test_without_an_object_all_is_background():
  objects = Objects(jnp.zeros((2, 4)), jnp.full(2, -1, jnp.int32))
  match = proposals.match(jnp.asarray(boxes(6)), objects, above=0.7, below=0.3, low_quality=True)
  assert match.tolist() == [-1] * 6


def test_the_objects_themselves_are_regions_to_learn_from():
  known = Objects(jnp.asarray(boxes(3)), jnp.asarray([4, 0, -1], jnp.int32))
  both = proposals.with_objects(
    Proposals(jnp.asarray(boxes(2, 1)), jnp.asarray([True, False])), known
  )
  np.testing.assert_array_equal(both.boxes[2:], known.boxes)
  assert both.valid.tolist() == [True, False, True, True, False]


@pytest.mark.parametrize(
  ('with_object', 'background', 'expected'),
  [
    (30, 100, (4, 12)),  # no more than their share
    (2, 100, (2, 14)),  # background instead of what is not there
    (30, 5, (4, 5)),  # and not the other way round
    (0, 3, (0, 3)),
    (0, 0, (0, 0)),
  ],
)
def test_so_many_are_drawn(with_object, background, expected):
  match = np.full(200, -2)
  places = np.random.default_rng(0).permutation(200)
  match[places[:with_object]] = np.arange(with_object) % 3
  match[places[with_object : with_object + background]] = -1
  drawn = proposals.sample(jax.random.key(0), jnp.asarray(match), 16, 0.25)
  assert drawn.index.shape == (16,)
  index = np.asarray(drawn.index)[np.asarray(drawn.valid)]
  assert len(set(index.tolist())) == len(index) == sum(expected)
  np.testing.assert_array_equal(match[index], drawn.match[drawn.valid])
  assert (int(drawn.found.sum()), int((drawn.valid & ~drawn.found).sum())) == expected


def test_every_candidate_is_drawn_equally_often():
  match = jnp.asarray([0] * 6 + [-1] * 10 + [-2] * 4)
  keys = jax.random.split(jax.random.key(0), 4000)
  drawn = jax.vmap(lambda key: proposals.sample(key, match, 8, 0.5))(keys)
  often = np.bincount(np.asarray(drawn.index).ravel(), minlength=20) / 4000
  assert drawn.valid.all() and often[16:].sum() == 0
  np.testing.assert_allclose(often[:6], 4 / 6, atol=0.04)
  np.testing.assert_allclose(often[6:16], 4 / 10, atol=0.04)


def test_fewer_candidates_than_are_asked_for():
  drawn = proposals.sample(jax.random.key(0), jnp.asarray([-1, 0]), 8, 0.5)
  assert sorted(drawn.index.tolist()) == [0, 1] and drawn.valid.all()


def test_only_objects_move_boxes_and_only_what_is_drawn_counts():
  known = Objects(jnp.asarray(boxes(2))[None], jnp.asarray([[1, 0]], jnp.int32))
  drawn = Sample(
    jnp.asarray([[0, 1, 2]]), jnp.asarray([[True, True, False]]), jnp.asarray([[1, -1, -1]])
  )
  origin = jnp.asarray(boxes(3, 1))[None]
  loss = partial(proposals.box_loss, origin=origin, objects=known, drawn=drawn)

  def total(deltas, mask):
    term = loss(deltas, mask=jnp.asarray([mask]))
    return term.sum, term.count

  deltas = jnp.ones((1, 3, 4))
  slope, count = jax.grad(total, has_aux=True)(deltas, True)
  assert count == 2
  assert (abs(slope).sum((0, 2)) > 0).tolist() == [True, False, False]
  slope, count = jax.grad(total, has_aux=True)(deltas, False)
  assert count == 0 and not slope.any()
