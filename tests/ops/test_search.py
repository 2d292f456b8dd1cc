"""Search against looking at everything by hand, on a random language of six tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from vitlab.ops import search
from vitlab.ops.tokens import BOS, EOS, PAD

VOCAB, LONGEST = 6, 7
TABLE = np.random.default_rng(3).normal(size=(4, LONGEST, VOCAB, VOCAB)).astype(np.float32)


def step(state, token):
  """What follows depends on the sentence, the position and the last token."""
  row, position = state
  return jnp.asarray(TABLE)[row, position, token], (row, position + 1)


def start(rows=(0, 1, 2, 3)):
  return jnp.array(rows), jnp.zeros(len(rows), jnp.int32)


def by_hand(row, limit):
  token, said, score = BOS, [], 0.0
  while len(said) < limit and token != EOS:
    logits = TABLE[row, len(said), token].astype(np.float64)
    logits[[PAD, BOS]] = -np.inf
    token = int(logits.argmax())
    said.append(token)
    score += log_softmax(logits)[token]
  return said + [PAD] * (LONGEST - len(said)), score


@pytest.mark.parametrize('limit', [(7, 7, 7, 7), (1, 2, 3, 4)])
def test_greedy_takes_the_best_until_the_end(limit):
  find = jax.jit(lambda: search.greedy(step, start(), jnp.array(limit), LONGEST))
  said, score = find()
  for row in range(4):
    expected, wanted = by_hand(row, limit[row])
    assert said[row].tolist() == expected
    assert score[row] == pytest.approx(wanted, rel=1e-5)
  ended = np.any(said == EOS, axis=-1)
  assert ended.any() and (limit[0] == 7 or not ended.all())  # both ways to end occur


def test_neighbours_change_no_sentence():
  together, scores = search.greedy(step, start(), jnp.full(4, LONGEST), LONGEST)
  alone, score = search.greedy(step, start([2]), jnp.full(1, LONGEST), LONGEST)
  np.testing.assert_array_equal(alone[0], together[2])
  assert score[0] == scores[2]


def test_nobody_says_padding_or_the_beginning():
  logits = jnp.array([5.0, 4.0, 1.0, 2.0])
  np.testing.assert_array_equal(search.sayable(logits), [-np.inf, -np.inf, 1.0, 2.0])


def test_a_sentence_without_room_stays_empty():
  said, score = search.greedy(step, start(), jnp.array([0, 0, 0, 0]), LONGEST)
  assert not said.any() and not score.any()
