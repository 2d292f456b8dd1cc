"""The tokens that a masked language model has to guess: shares, words, what takes their place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.ops.masking import Places, choose_places, corrupt

B, T = 64, 40


@pytest.fixture(scope='module')
def rows():
  """Rows of every length from 3 on: [CLS] first, [SEP] last, then padding."""
  lengths = np.linspace(3, T, B).astype(int)
  at = np.arange(T)
  allowed = (at > 0) & (at < lengths[:, None] - 1)
  begins = np.random.default_rng(0).random((B, T)) < 0.5
  begins[:, 1] = True  # what follows [CLS] begins a word
  return jnp.asarray(allowed), jnp.asarray(begins)


choose = jax.jit(choose_places, static_argnums=(2, 3))


def test_the_share_of_every_row(rows):
  allowed, _ = rows
  places = choose(jax.random.key(0), allowed, 0.15, 6)
  wanted = np.maximum(np.round(0.15 * np.asarray(allowed).sum(1)), 1)
  np.testing.assert_array_equal(places.counts.sum(1), wanted)
  for index, counts, row in zip(*map(np.asarray, places), np.asarray(allowed)):
    assert len(set(index)) == len(index)  # the rest of the row is other places, never one twice
    assert (np.diff(index[counts]) > 0).all() and row[index[counts]].all()
    assert not (np.diff(counts.astype(int)) > 0).any()  # those that count stand first


def test_at_most_so_many(rows):
  places = choose(jax.random.key(0), rows[0], 0.5, 4)
  assert places.index.shape == (B, 4) and int(places.counts.sum(1).max()) == 4


def test_every_token_is_as_likely_as_any_other():
  allowed = jnp.ones((20_000, 10), bool)
  index = np.asarray(choose(jax.random.key(1), allowed, 0.2, 2).index)
  found = np.bincount(index.ravel(), minlength=10) / index.size
  np.testing.assert_allclose(found, 0.1, atol=4 * (0.1 * 0.9 / index.size) ** 0.5)


def test_a_row_without_tokens_has_nothing_to_guess():
  places = choose(jax.random.key(0), jnp.zeros((2, T), bool), 0.15, 6)
  assert not places.counts.any()


def test_whole_words(rows):
  """A word is chosen with all its tokens or not at all, and no more than the share."""
  allowed, begins = rows
  some = 0
  for seed in range(5):
    places = choose(jax.random.key(seed), allowed, 0.4, 16, begins)
    for index, counts, row, begin in zip(*map(np.asarray, (*places, allowed, begins))):
      word = np.cumsum(begin)
      chosen = np.zeros(T, bool)
      chosen[index[counts]] = True
      for number in set(word[chosen]):
        assert chosen[(word == number) & row].all()
      assert chosen.sum() <= max(round(0.4 * row.sum()), 1)
      some += chosen.sum()
  assert some > 0.8 * 5 * 0.4 * np.asarray(allowed).sum()


def test_what_takes_their_place():
  tokens = jnp.full((4000, 8), 7)
  index = jnp.tile(jnp.array([1, 4, 5]), (4000, 1))
  counts = jnp.tile(jnp.array([True, True, False]), (4000, 1))
  found = np.asarray(corrupt(jax.random.key(0), tokens, Places(index, counts), 3, 100))
  assert (found[:, [0, 2, 3, 5, 6, 7]] == 7).all()
  chosen = found[:, [1, 4]].ravel()
  error = 4 * (0.8 * 0.2 / chosen.size) ** 0.5
  np.testing.assert_allclose((chosen == 3).mean(), 0.801, atol=error)  # 80 %, and 3 by chance
  np.testing.assert_allclose((chosen == 7).mean(), 0.101, atol=error)
  others = chosen[(chosen != 3) & (chosen != 7)]
  assert others.min() == 0 and others.max() == 99
