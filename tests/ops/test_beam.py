"""Beams against looking at everything by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers.language import LONGEST, VOCAB, everything, next_token, padded, start, step, take
from scipy.special import softmax

from vitlab.ops import search
from vitlab.ops.beam import beam
from vitlab.ops.tokens import BOS, EOS


def ranked(row, limit, score):
  """All sentences with their scores, the best first."""
  return sorted(((score(s, total), s) for s, total in everything(row, limit)), reverse=True)


def check(said, score, expected, beams):
  """A beam as wide as this loses none of those that are among the first."""
  count = min(8, len(expected))
  np.testing.assert_allclose(score[:count], [s for s, _ in expected[:count]], rtol=1e-5)
  for i, (_, sentence) in enumerate(expected[:count]):
    assert said[i].tolist() == padded(sentence, said.shape[-1])
  assert np.all(score[:-1] >= score[1:])
  assert np.isfinite(score).sum() == min(beams, len(expected))


@pytest.mark.parametrize('gnmt', [False, True], ids=['mean', 'gnmt'])
@pytest.mark.parametrize('penalty', [0.0, 0.6, 2.0])
def test_a_wide_beam_finds_what_is_best_of_all(penalty, gnmt):
  limit, beams = np.array([4, 3, 4, 1]), 4**3
  norm = lambda n: ((5 + n) / 6 if gnmt else n) ** penalty  # noqa: E731
  options = dict(beams=beams, length_penalty=penalty, gnmt=gnmt)
  find = jax.jit(lambda: beam(step, take, start(), jnp.array(limit), 4, **options))
  said, score = find()
  for row in range(4):
    expected = ranked(row, limit[row], lambda s, total: total / norm(len(s)))
    check(said[row], score[row], expected, beams)


SOURCES = np.array([3, 2, 3, 1])  # how long they are


def looking(rng):
  """A step whose state also holds what has been looked at, and the weights with which it looks."""
  weights = softmax(rng.normal(0, 2, (4, LONGEST, VOCAB, 3)), axis=-1).astype(np.float32)
  mask = np.arange(3) < SOURCES[:, None]

  def look(state, token):
    (row, position), seen = state
    logits, next_state = step((row, position), token)
    return logits, (next_state, seen + jnp.asarray(weights)[row, position, token])

  def coverage(state):
    return jnp.where(jnp.asarray(mask)[state[0][0]], state[1], 1.0)

  def score(row, said):
    """Σ_i log min(Σ_j p_ij, 1) of a sentence."""
    before = [BOS, *said[:-1]]
    sums = sum(weights[row, j, token].astype(np.float64) for j, token in enumerate(before))
    return np.log(np.minimum(sums, 1))[: SOURCES[row]].sum()

  return look, coverage, score


def take_both(state, rows):
  return take(state[0], rows), state[1][rows]


@pytest.mark.parametrize('penalty', [0.0, 0.3, 2.0])
def test_a_wide_beam_finds_what_also_covers_its_source(penalty):
  look, coverage, covered = looking(np.random.default_rng(5))
  limit, beams = np.array([4, 3, 4, 1]), 4**3
  options = dict(beams=beams, length_penalty=0.6, coverage_penalty=penalty)
  state = (start(), jnp.zeros((4, 3)))
  find = jax.jit(lambda: beam(look, take_both, state, jnp.array(limit), 4, coverage, **options))
  said, score = find()
  options = dict(beams=beams, length_penalty=0.6)
  plain = jax.jit(lambda: beam(step, take, start(), jnp.array(limit), 4, **options))()
  changed = 0
  for row in range(4):

    def scored(s, total, row=row):
      return total / ((5 + len(s)) / 6) ** 0.6 + penalty * covered(row, s)

    check(said[row], score[row], ranked(row, limit[row], scored), beams)
    changed += np.any(said[row, :8] != plain[0][row, :8])
  if penalty:
    assert changed
  else:
    jax.tree.map(np.testing.assert_array_equal, (said, score), plain)


def test_attention_that_underflows_makes_no_sentence_impossible():
  options = dict(beams=2, length_penalty=0.0, coverage_penalty=0.1)
  nothing = lambda state: jnp.zeros((len(state[0]), 2))  # noqa: E731
  _, score = beam(step, take, start(), jnp.full(4, 3), 3, nothing, **options)
  assert np.all(np.isfinite(score))


@pytest.mark.parametrize('limit', [(7, 7, 7, 7), (1, 2, 3, 4)])
def test_one_beam_is_greedy(limit):
  """Without a penalty: with one, an end that is worse at first may win."""
  limit = jnp.array(limit)
  said, score = beam(step, take, start(), limit, LONGEST, beams=1, length_penalty=0.0)
  expected, wanted = search.greedy(step, start(), limit, LONGEST)
  np.testing.assert_array_equal(said[:, 0], expected)
  np.testing.assert_allclose(score[:, 0], wanted, rtol=1e-5)


def test_neighbours_change_no_beam():
  options = dict(beams=3, length_penalty=1.0)
  together = beam(step, take, start(), jnp.array([7, 3, 7, 5]), LONGEST, **options)
  alone = beam(step, take, start([1]), jnp.array([3]), LONGEST, **options)
  jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[0], b[1]), alone, together)


def late():
  """Either it ends at once, or, less probably, after six tokens."""
  table = np.full((LONGEST, VOCAB, VOCAB), -20.0, np.float32)
  table[0, :, EOS], table[0, :, 4] = np.log(0.6), np.log(0.4)  # ends at once, or
  table[1:, :, 4] = 0.0  # goes on, surely,
  table[5, :, 4], table[5, :, EOS] = -20.0, 0.0  # and ends after six tokens
  return lambda state, token: (jnp.asarray(table)[state, token], state + 1)


def overtaken(**options):
  """How long the sentence is that one beam finds, and its score."""
  state, limit = jnp.zeros(1, jnp.int32), jnp.array([LONGEST])
  said, score = beam(late(), lambda x, rows: x[rows], state, limit, LONGEST, beams=1, **options)
  return np.count_nonzero(said[0, 0]), score[0, 0]


def test_a_late_end_overtakes_an_early_one():
  """Under a penalty a beam must not stop at the first k ends (an old mistake of many toolkits)."""
  assert overtaken(length_penalty=0.0, gnmt=False)[0] == 1
  length, score = overtaken(length_penalty=1.0, gnmt=False)
  assert length == 6
  assert score == pytest.approx(np.log(0.4) / 6, rel=1e-4)


@pytest.mark.parametrize('early_stopping', ['false', 'true'])
def test_a_search_may_be_told_to_stop_before(early_stopping):
  """As Hugging Face does by default: what grows is compared as if it ended now."""
  options = dict(length_penalty=1.0, gnmt=False, early_stopping=early_stopping)
  length, score = overtaken(**options)
  assert length == 1
  assert score == pytest.approx(np.log(0.6), rel=1e-4)


def test_a_limit_may_force_an_end():
  """It costs nothing and counts as a token; what ends before is as it was."""
  options = dict(beams=4**3, length_penalty=1.0, gnmt=False)
  limit = jnp.array([4, 3, 4, 1])
  said, score = beam(step, take, start(), limit, 4, forced_eos=True, **options)
  for row in range(4):
    expected = {}
    for sentence, total in everything(row, int(limit[row])):
      if (
        EOS not in sentence[:-1] and len(sentence) == limit[row]
      ):  # whatever stood last, now an EOS
        sentence = [*sentence[:-1], EOS]
        total = sum(next_token(row, sentence[:i])[t] for i, t in enumerate(sentence[:-1]))
      expected[tuple(sentence)] = total / len(sentence)
    ranked = sorted(((s, list(sentence)) for sentence, s in expected.items()), reverse=True)
    check(said[row], score[row], ranked, 4**3)


def test_a_late_end_overtakes_by_what_it_covers():
  """What grows may yet look at all of its source: no coverage it lacks now must stop the search."""

  def coverage(state):
    return (state[:, None] / 6.0) ** 8  # almost nothing before the end

  length, score = overtaken(length_penalty=0.0, coverage_penalty=0.1, coverage=coverage)
  assert length == 6
  assert score == pytest.approx(np.log(0.4), rel=1e-4)
