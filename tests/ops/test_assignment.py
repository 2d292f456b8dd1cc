"""Matchings: total costs against SciPy, thresholds against torchvision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import torchvision_shim  # noqa: F401
from scipy.optimize import linear_sum_assignment
from torchvision.models.detection._utils import Matcher

from vitlab.ops import assignment as ours
from vitlab.ops import boxes

matching = jax.jit(jax.vmap(ours.hungarian))


def random_costs(shape, kind, rng):
  """Plain ones; with many ties; as of boxes, all of which want the same queries."""
  cost = rng.normal(size=shape)
  if kind == 'tied':
    return np.round(cost * 1.5)
  if kind == 'alike':
    return 0.1 * cost + 3 * rng.normal(size=(*shape[:2], 1))
  return cost


def check_total_cost(costs, present, rtol):
  for cost, there, query in zip(costs, present, np.asarray(matching(costs, present)), strict=True):
    rows, columns = linear_sum_assignment(cost[:, there])
    used = query[query >= 0]
    assert len(set(used)) == len(used) == len(rows)  # none for two, and as many as can be
    assert (query[~there] == -1).all()
    total = cost[used, np.flatnonzero(query >= 0)].sum()
    np.testing.assert_allclose(total, cost[:, there][rows, columns].sum(), rtol=rtol, atol=rtol)


@pytest.mark.parametrize('queries, objects', [(9, 5), (6, 6), (4, 7), (1, 3), (3, 1)])
def test_total_cost_is_the_least(x64, queries, objects):
  rng = np.random.default_rng(0)
  costs = [random_costs((60, queries, objects), kind, rng) for kind in ('plain', 'tied', 'alike')]
  present = rng.random((180, objects)) < 0.75
  present[::10], present[5::10] = False, True
  check_total_cost(np.concatenate(costs), present, 1e-9)


def test_greed_does_not_pay():
  # The first object gives way to the second, which gives way to the third.
  cost = jnp.array([[1.0, 1, 9], [2, 9, 9], [9, 2, 1], [9, 9, 9]]).at[2, 2].set(1)
  assert ours.hungarian(cost, jnp.ones(3, bool)).tolist() in ([1, 0, 2],)


def test_an_absent_object_takes_no_query():
  cost = jnp.array([[0.0, 1.0], [5.0, 5.0]])
  assert ours.hungarian(cost, jnp.array([False, True])).tolist() == [-1, 0]
  assert ours.hungarian(cost, jnp.array([False, False])).tolist() == [-1, -1]
  assert ours.hungarian(cost, jnp.array([True, True])).tolist() == [0, 1]


@pytest.mark.parametrize('bad', [jnp.nan, jnp.inf, -jnp.inf])
def test_what_is_no_cost_is_avoided_and_ends(bad):
  cost = jnp.array([[bad, 1.0, bad], [2.0, 1.5, bad], [4.0, 3.0, bad]])
  query = ours.hungarian(cost, jnp.array([True, True, False]))
  assert query.tolist() == [1, 0, -1]
  everywhere = ours.hungarian(cost, jnp.ones(3, bool))
  assert sorted(everywhere.tolist()) == [0, 1, 2]


def test_half_precision():
  cost = jnp.array([[3, 1], [1, 3], [0, 0]])
  for dtype in (jnp.float16, jnp.bfloat16):
    query = ours.hungarian(cost.astype(dtype), jnp.ones(2, bool))
    assert cost[query, jnp.arange(2)].sum() == 1


def random_overlap(rng, objects=5, anchors=40):
  low = rng.uniform(0, 20, (objects + anchors, 2))
  both = np.concatenate([low, low + rng.uniform(2, 12, (objects + anchors, 2))], -1)
  both[1:3] = both[objects : objects + 2] = np.round(both[1])  # exact fits, ties of two objects
  return np.array(boxes.pairwise_iou(jnp.asarray(both[:objects]), jnp.asarray(both[objects:])))


@pytest.mark.parametrize('low_quality', [False, True])
@pytest.mark.parametrize('high, low', [(0.7, 0.3), (0.5, 0.5)])
def test_thresholds_equal_torchvision(high, low, low_quality):
  rng = np.random.default_rng(1)
  overlaps = np.stack([random_overlap(rng) for _ in range(50)])
  present = rng.random((50, 5)) < 0.7
  present[:, 0] = True
  run = jax.vmap(lambda *a: ours.by_iou(*a, high, low, low_quality))
  seen = set()
  for overlap, there, got in zip(overlaps, present, run(overlaps, present), strict=True):
    expected = Matcher(high, low, low_quality)(torch.tensor(overlap[there])).numpy()
    number = np.append(np.flatnonzero(there), [-2, -1])  # expected counts those that are there
    np.testing.assert_array_equal(got, number[expected])
    seen |= set(np.asarray(got).tolist())
  assert seen >= ({-1, 0, 1, 2} if high == low else {-2, -1, 0, 1, 2})


def test_an_anchor_that_is_best_for_an_object_takes_the_object_that_is_best_for_it():
  overlap = jnp.array([[0.6, 0.1], [0.4, 0.2]])
  case = overlap, jnp.ones(2, bool), 0.7, 0.3
  assert ours.by_iou(*case).tolist() == [-2, -1]
  # The second object is best met by the first anchor, which goes to the first object.
  assert ours.by_iou(*case, allow_low_quality=True).tolist() == [0, -1]


def test_thresholds_belong_to_what_is_above_them():
  got = ours.by_iou(jnp.array([[0.75, 0.5, 0.25, 0.0]]), jnp.array([True]), 0.75, 0.25)
  assert got.tolist() == [0, -2, -2, -1]


def test_no_object_is_all_background():
  got = ours.by_iou(jnp.ones((2, 3)), jnp.zeros(2, bool), 0.7, 0.3, True)
  assert got.tolist() == [-1, -1, -1]
