"""Scores of distances looked up by key: against a loop, and against the papers' own reshapes."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.ops.relative import by_key, by_key_at, distances, sincos_of_distances

TABLES = [  # queries, keys, first and last distance
  pytest.param(4, 7, 6, 0, id='transformer_xl'),
  pytest.param(4, 4, 3, 0, id='transformer_xl-no-memory'),
  pytest.param(1, 6, 5, 0, id='transformer_xl-one-query'),
  pytest.param(4, 7, 7, -3, id='xlnet'),
  pytest.param(4, 4, 4, -3, id='xlnet-no-memory'),
]


def scores_of(queries, first, last):
  return jax.random.normal(jax.random.key(0), (2, 3, queries, first - last + 1))


def by_loop(scores, keys, first):
  """What a reader would write: the key's distance, found in the table or not."""
  queries, columns = scores.shape[-2:]
  found = np.zeros((*scores.shape[:-1], keys))
  for i in range(queries):
    for j in range(keys):
      distance = (keys - queries + i) - j
      if 0 <= first - distance < columns:
        found[..., i, j] = scores[..., i, first - distance]
  return found


@pytest.mark.parametrize('queries, keys, first, last', TABLES)
def test_every_key_gets_the_score_of_its_distance(queries, keys, first, last):
  scores = scores_of(queries, first, last)
  np.testing.assert_array_equal(by_key(scores, keys, first), by_loop(scores, keys, first))


@pytest.mark.parametrize('queries, keys, first, last', TABLES)
def test_the_gradient_is_that_of_the_loop(queries, keys, first, last):
  scores = scores_of(queries, first, last)
  weight = jax.random.normal(jax.random.key(1), (2, 3, queries, keys))
  grad = jax.grad(lambda x: (by_key(x, keys, first) * weight).sum())(scores)
  expected = np.zeros(scores.shape)
  for column in range(scores.shape[-1]):  # linear: what each column alone is worth
    only = np.zeros(scores.shape)
    only[..., column] = 1
    expected[..., column] = (by_loop(only, keys, first) * weight).sum(-1)
  np.testing.assert_allclose(grad, expected, atol=1e-6)


def test_it_is_the_shift_of_both_papers():
  """Pad by a column, read the memory as other rows, cut: right where a key may be seen."""
  x = scores_of(4, 6, 0)  # Transformer-XL: as many distances as keys
  padded = np.pad(x, ((0, 0), (0, 0), (0, 0), (1, 0))).reshape(2, 3, 8, 4)
  seen = distances(4, 7) >= 0
  np.testing.assert_array_equal(
    by_key(x, 7, 6)[..., seen], padded[:, :, 1:].reshape(x.shape)[..., seen]
  )
  x = scores_of(4, 7, -3)  # XLNet: keys + queries of them
  shifted = x.reshape(2, 3, 11, 4)[:, :, 1:].reshape(2, 3, 4, 10)[..., :7]
  np.testing.assert_array_equal(by_key(x, 7, 7), shifted)


def test_the_queries_are_the_last_keys():
  np.testing.assert_array_equal(distances(2, 4), [[2, 1, 0, -1], [3, 2, 1, 0]])


def test_sincos_is_all_sines_and_then_all_cosines_of_falling_distances():
  expected = [
    [f(distance / 10_000 ** (i / 4)) for f in (math.sin, math.cos) for i in range(4)]
    for distance in (3, 2, 1, 0, -1)
  ]
  np.testing.assert_allclose(sincos_of_distances(3, -1, 8), expected, atol=1e-6)


def test_clamped_distances_are_all_the_same():
  table = np.asarray(sincos_of_distances(5, -4, 8, clamp=2))
  np.testing.assert_array_equal(
    table, np.asarray(sincos_of_distances(2, -2, 8))[[0, 0, 0, 0, 1, 2, 3, 4, 4, 4]]
  )


def test_queries_that_stand_anywhere_look_up_as_those_that_stand_last(x64):
  random = np.random.default_rng(0)
  scores = jnp.asarray(random.normal(size=(2, 3, 4, 12)))
  keys, first = 7, 7
  place = np.array([[3, 4, 5, 6]] * 2)
  at = jax.jit(lambda x, place: by_key_at(x, place, keys, first))
  np.testing.assert_array_equal(at(scores, place), by_key(scores, keys, first))

  place = np.array([[6, 0, 2, 5], [1, 1, 4, 3]])
  found = np.asarray(at(scores, place))
  for b, q, j in np.ndindex(2, 4, keys):
    column = first - (place[b, q] - j)
    wanted = scores[b, :, q, column] if column < 12 else 0
    np.testing.assert_array_equal(found[b, :, q, j], wanted)
  weights = random.normal(size=found.shape)
  gradient = jax.jit(jax.grad(lambda x, place: (at(x, place) * weights).sum()))(scores, place)
  step = random.normal(size=scores.shape)
  np.testing.assert_allclose((gradient * step).sum(), (at(step, place) * weights).sum())
