"""Permutations: spans as in the paper, ranks that leak nothing, and rows without context."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.ops import permutations
from vitlab.ops.masking import Places

KEY = jax.random.key(0)
ROWS, LENGTH, SHARE = 2000, 60, 1 / 6
ALL = np.ones((ROWS, LENGTH), bool)


def chosen(allowed=ALL, most=20, **words):
  """Which tokens are chosen, as a row of bits."""
  choose = lambda key, x: permutations.choose_spans(key, x, SHARE, most, **words)  # noqa: E731
  places = jax.jit(choose)(KEY, allowed)
  bits = np.zeros(allowed.shape, bool)
  np.put_along_axis(bits, np.asarray(places.index), np.asarray(places.counts), 1)
  assert (np.diff(np.where(places.counts, places.index, 10**6), axis=1) >= 0).all()
  return bits


def test_every_place_is_as_likely_as_the_paper_says():
  share = chosen().mean(0)
  assert abs(share.mean() - SHARE) < 0.003
  deviation = (SHARE * (1 - SHARE) / ROWS) ** 0.5
  assert np.abs(share - SHARE).max() < 4.5 * deviation


def test_spans_are_as_long_as_the_paper_says():
  """Of lengths 1 to 5 each with probability ~ 1 / L; few touch, and make a longer one."""
  lengths = []
  for row in chosen(np.ones((30, 3000), bool), most=600):
    runs = [len(list(run)) for bit, run in itertools.groupby(row) if bit]
    lengths += runs[1:-1]
  found = np.bincount(lengths, minlength=6)[1:6] / len(lengths)
  wanted = 1 / np.arange(1, 6) / (1 / np.arange(1, 6)).sum()
  np.testing.assert_allclose(found, wanted, atol=0.03)


def test_what_is_not_allowed_is_never_chosen_and_whole_words_are():
  allowed = np.random.default_rng(0).random((ROWS, LENGTH)) < 0.8
  assert not (chosen(allowed) & ~allowed).any()
  begins = np.arange(LENGTH) % 3 == 0
  bits = chosen(begins=jnp.broadcast_to(begins, (ROWS, LENGTH)), most=LENGTH).reshape(ROWS, -1, 3)
  assert (bits.all(-1) == bits.any(-1)).all()
  assert abs(bits.mean() - SHARE) < 0.01


def test_rows_that_choose_more_than_there_is_room_for_lose_no_place_more_than_another():
  bits = chosen(most=10)
  assert bits.sum(1).max() == 10
  share = bits.mean(0)
  assert np.abs(share - share.mean()).max() < 4.5 * (SHARE * (1 - SHARE) / ROWS) ** 0.5


def draw(places, real):
  return jax.jit(lambda *given: permutations.draw_order(KEY, *given))(places, real)


def test_targets_have_all_ranks_in_every_order():
  places = Places(np.tile([0, 2, 3], (600, 1)), np.tile([True] * 3, (600, 1)))
  order, counted = draw(places, np.ones((600, 5), bool))
  assert not np.asarray(order)[:, [1, 4]].any()
  counts = np.unique(np.asarray(order)[:, [0, 2, 3]], axis=0, return_counts=True)
  assert sorted(map(tuple, counts[0])) == sorted(itertools.permutations((1, 2, 3)))
  assert counts[1].min() > 60
  assert np.asarray(counted.counts).all()


def test_nothing_counts_in_a_row_without_context():
  places = Places(np.array([[0, 1], [0, 1]]), np.array([[True, True], [True, True]]))
  real = np.array([[True, True, False], [True, True, True]])
  _, counted = draw(places, real)
  np.testing.assert_array_equal(counted.counts, [[False, False], [True, True]])


@pytest.mark.parametrize('order', [[0, 0, 2, 0, 1], [0, 1, 2, 3, 4], [4, 0, 3, 1, 2]])
def test_a_content_sees_itself_and_a_query_does_not(order):
  order = np.array([order])
  real = np.array([[True, True, True, True, False]])
  places = np.array([[2, 4]])
  seen = np.asarray(jax.jit(permutations.visible)(order, real, places))[0]
  for row, place in enumerate([0, 1, 2, 3, 4, 2, 4]):
    for key in range(5):
      before = order[0, key] < order[0, place] or row < 5 and order[0, key] == order[0, place]
      assert seen[row, key] == (before and key < 4)
