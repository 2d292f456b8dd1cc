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
    logits = log_softmax(TABLE[row, len(said), token].astype(np.float64))
    logits[[PAD, BOS]] = -np.inf
    token = int(logits.argmax())
    said.append(token)
    score += logits[token]
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
  expected = [-np.inf, -np.inf, *log_softmax(logits)[2:]]
  np.testing.assert_allclose(search.sayable(logits), expected, rtol=1e-6)


def test_a_sentence_without_room_stays_empty():
  said, score = search.greedy(step, start(), jnp.array([0, 0, 0, 0]), LONGEST)
  assert not said.any() and not score.any()


def take(state, rows):
  row, position = state
  return row[rows], position[rows]


def everything(row, limit, divisor):
  """All sentences that can be said, with their scores, the best first."""
  found = []

  def grow(said, total):
    if len(said) == limit or EOS in said:
      found.append((total / divisor(len(said)), said))
      return
    logits = log_softmax(TABLE[row, len(said), said[-1] if said else BOS].astype(np.float64))
    for token in range(2, VOCAB):
      grow([*said, token], total + logits[token])

  grow([], 0.0)
  return sorted(found, reverse=True)


@pytest.mark.parametrize('gnmt', [False, True], ids=['mean', 'gnmt'])
@pytest.mark.parametrize('penalty', [0.0, 0.6, 2.0])
def test_a_wide_beam_finds_what_is_best_of_all(penalty, gnmt):
  limit, beams = np.array([4, 3, 4, 1]), 4**3
  divisor = lambda n: ((5 + n) / 6 if gnmt else n) ** penalty  # noqa: E731
  options = dict(beams=beams, length_penalty=penalty, gnmt=gnmt)
  find = jax.jit(lambda: search.beam(step, take, start(), jnp.array(limit), 4, **options))
  said, score = find()
  for row in range(4):
    best = everything(row, limit[row], divisor)
    # A beam as wide as this loses none of those that are among the first.
    count = min(8, len(best))
    np.testing.assert_allclose(score[row, :count], [s for s, _ in best[:count]], rtol=1e-5)
    for i, (_, sentence) in enumerate(best[:count]):
      assert said[row, i].tolist() == sentence + [PAD] * (4 - len(sentence))
    assert np.all(score[row, :-1] >= score[row, 1:])
    assert np.isfinite(score[row]).sum() == min(beams, len(best))


@pytest.mark.parametrize('limit', [(7, 7, 7, 7), (1, 2, 3, 4)])
def test_one_beam_is_greedy(limit):
  """Without a penalty: with one, an end that is worse at first may win."""
  limit = jnp.array(limit)
  said, score = search.beam(step, take, start(), limit, LONGEST, beams=1, length_penalty=0.0)
  expected, wanted = search.greedy(step, start(), limit, LONGEST)
  np.testing.assert_array_equal(said[:, 0], expected)
  np.testing.assert_allclose(score[:, 0], wanted, rtol=1e-5)


def test_neighbours_change_no_beam():
  options = dict(beams=3, length_penalty=1.0)
  together = search.beam(step, take, start(), jnp.array([7, 3, 7, 5]), LONGEST, **options)
  alone = search.beam(step, take, start([1]), jnp.array([3]), LONGEST, **options)
  jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[0], b[1]), alone, together)


def test_a_late_end_overtakes_an_early_one():
  """Under a penalty a beam must not stop at the first k ends (an old mistake of many toolkits)."""
  table = np.full((LONGEST, VOCAB, VOCAB), -20.0, np.float32)
  table[0, :, EOS], table[0, :, 4] = np.log(0.6), np.log(0.4)  # ends at once, or
  table[1:, :, 4] = 0.0  # goes on, surely,
  table[5, :, 4], table[5, :, EOS] = -20.0, 0.0  # and ends after six tokens

  def next_token(state, token):
    return jnp.asarray(table)[state, token], state + 1

  options = dict(beams=2, gnmt=False)
  for penalty, length in ((0.0, 1), (1.0, 6)):
    said, score = search.beam(
      next_token,
      lambda state, rows: state[rows],
      jnp.zeros(1, jnp.int32),
      jnp.array([LONGEST]),
      LONGEST,
      length_penalty=penalty,
      **options,
    )
    assert np.count_nonzero(said[0, 0]) == length
  assert score[0, 0] == pytest.approx(np.log(0.4) / 6, rel=1e-4)
