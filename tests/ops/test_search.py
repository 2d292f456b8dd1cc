"""Search and chance against looking at everything by hand, and what a spec may say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers.language import LONGEST, VOCAB, everything, next_token, padded, start, step, take
from scipy import special, stats

from vitlab.errors import UserError
from vitlab.ops import search
from vitlab.ops.tokens import EOS

LIMITS = pytest.mark.parametrize('limit', [(7, 7, 7, 7), (1, 2, 3, 4)])


def by_hand(row, limit):
  said, score = [], 0.0
  while len(said) < limit and EOS not in said:
    logits = next_token(row, said)
    said.append(int(logits.argmax()))
    score += logits.max()
  return padded(said), score


def sample(limit, keys, rows=(0, 1, 2, 3), **options):
  def run(keys):
    return search.sample(step, take, start(rows), jnp.array(limit), LONGEST, keys, **options)

  return jax.jit(run)(keys)


def keys(count, seed=0):
  return jax.random.split(jax.random.key(seed), count)


@LIMITS
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


def test_a_sentence_without_room_stays_empty():
  said, score = search.greedy(step, start(), jnp.array([0, 0, 0, 0]), LONGEST)
  assert not said.any() and not score.any()
  said, score = sample([0, 0, 0, 0], keys(4))
  assert not said.any() and not score.any()


@LIMITS
@pytest.mark.parametrize('options', [dict(temperature=1e-5), dict(top_k=1), dict(top_p=0.0)])
def test_without_chance_it_is_greedy(options, limit):
  expected, scores = search.greedy(step, start(), jnp.array(limit), LONGEST)
  said, score = sample(limit, keys(4), samples=2, **options)
  for i in range(2):
    np.testing.assert_array_equal(said[:, i], expected)
    np.testing.assert_allclose(score[:, i], scores, rtol=1e-6)


@pytest.mark.parametrize('options', [{}, dict(temperature=0.6), dict(temperature=1.7, top_k=3)])
def test_sentences_come_as_often_as_they_are_probable(options):
  """All of up to three tokens, each with its own: a test of goodness of fit with a fixed key."""
  count, row, limit = 20_000, 1, 3
  said, _ = sample([limit] * 5, keys(5), [row] * 5, samples=count // 5, **options)
  sentences, counts = np.unique(np.reshape(said, (count, LONGEST)), axis=0, return_counts=True)
  found = dict(zip(map(tuple, sentences.tolist()), counts))

  def probability(sentence):
    product = 1.0
    for i, token in enumerate(sentence):
      logits = next_token(row, sentence[:i]) / options.get('temperature', 1.0)
      least = np.sort(logits)[-options.get('top_k', VOCAB)]
      product *= special.softmax(np.where(logits >= least, logits, -np.inf))[token]
    return product

  expected = {tuple(padded(s)): count * probability(s) for s, _ in everything(row, limit)}
  expected = {sentence: number for sentence, number in expected.items() if number > 0}
  assert set(found) <= set(expected) and sum(expected.values()) == pytest.approx(count)
  often = [sentence for sentence, number in expected.items() if number >= 5]
  assert len(often) > 10
  pairs = np.array([(found.get(s, 0), expected[s]) for s in often])
  pairs = np.vstack([pairs, count - pairs.sum(axis=0)])  # and all that are rare, as one
  seen, wanted = pairs[pairs[:, 1] > 1e-6 * count].T
  assert np.sum((seen - wanted) ** 2 / wanted) < stats.chi2.ppf(0.999, len(wanted) - 1)


def test_a_sample_has_the_log_probability_of_the_model():
  """Not of the tempered and cut one that it was drawn from; the best come first."""
  limit = [4, 3, 4, 2]
  said, score = sample(limit, keys(4), samples=6, temperature=1.5, top_k=3, top_p=0.9)
  for row in range(4):
    by_sentence = {tuple(padded(s)): total for s, total in everything(row, limit[row])}
    expected = [by_sentence[tuple(sentence)] for sentence in said[row].tolist()]
    np.testing.assert_allclose(score[row], expected, rtol=1e-5)
    assert len(set(map(tuple, said[row].tolist()))) > 1
  assert np.all(score[:, :-1] >= score[:, 1:])


def test_a_draw_depends_on_the_key_of_its_row_alone():
  limit = [7, 3, 7, 5]
  said, score = sample(limit, keys(4), samples=3)
  alone, own = sample(limit[2:3], keys(4)[2:3], [2], samples=3)
  np.testing.assert_array_equal(alone[0], said[2])
  np.testing.assert_array_equal(own[0], score[2])
  other, _ = sample(limit, keys(4).at[2].set(jax.random.key(9)), samples=3)
  np.testing.assert_array_equal(np.delete(other, 2, axis=0), np.delete(said, 2, axis=0))
  assert np.any(other[2] != said[2])
  more, _ = sample(limit, keys(4), samples=4)
  for row in range(4):  # one more, among those that there were
    assert set(map(tuple, said[row].tolist())) <= set(map(tuple, more[row].tolist()))


def find(rows=(0, 1, 2, 3), **spec):
  """By a spec, with the row as the source."""
  chosen = search.make_search(spec)
  source = jnp.array(rows)[:, None] + 4
  options = dict(source=source, coverage=lambda state: 1 / 0)  # nobody asked for it
  run = jax.jit(lambda: chosen.find(step, take, start(rows), limit, LONGEST, **options))
  limit = jnp.full(len(rows), 4)
  said, score = run()
  assert said.shape == (len(rows), chosen.width, LONGEST) and score.shape == said.shape[:2]
  return said, score


def test_a_spec_is_the_search_that_it_names():
  limit = jnp.full(4, 4)
  said, score = search.greedy(step, start(), limit, LONGEST)
  for found, expected in zip(find(name='greedy'), (said, score)):
    np.testing.assert_array_equal(found[:, 0], expected)
  options = dict(beams=3, length_penalty=1.2, gnmt=False)
  expected = search.beam(step, take, start(), limit, LONGEST, **options)
  for found, wanted in zip(find(name='beam', **options), expected):
    np.testing.assert_array_equal(found, wanted)
  sampled, score = find(name='sample', samples=3, top_k=1)
  np.testing.assert_array_equal(sampled, np.repeat(said[:, None], 3, axis=1))


def test_a_seed_and_a_source_decide_what_is_sampled():
  spec = dict(name='sample', samples=2)
  said, score = find(**spec)
  alone, own = find([2], **spec)
  np.testing.assert_array_equal(alone[0], said[2])
  np.testing.assert_array_equal(own[0], score[2])
  assert np.any(find(**spec, seed=1)[0] != said)


def test_what_a_spec_leaves_out_has_its_default():
  assert search.make_search(search.GREEDY) == ('greedy', {})
  beam = search.make_search(dict(name='beam', length_penalty=1))
  defaults = dict(beams=4, length_penalty=1, coverage_penalty=0.0, gnmt=True)
  assert beam.options == defaults | dict(early_stopping='never', forced_eos=False)
  for given in (True, 'true', 'True'):
    found = search.make_search(dict(name='beam', early_stopping=given))
    assert found.options['early_stopping'] == 'true'
  sampled = search.make_search(dict(name='sample', top_k=5))
  assert sampled.options == dict(samples=1, temperature=1.0, top_k=5, top_p=1.0, seed=0)
  assert (beam.width, sampled.width) == (4, 1)


@pytest.mark.parametrize(
  'spec, says',
  [
    (dict(), "unknown search 'None': possible are beam, greedy, sample"),
    (dict(name='bean'), 'did you mean beam'),
    (dict(name='beam', beam=3), "keyword of search beam 'beam': did you mean beams"),
    (dict(name='greedy', beams=3), "keyword of search greedy 'beams'"),
    (dict(name='beam', beams=0), r'beam\(beams=0\): expected int from 1 to inf, such as 4'),
    (dict(name='beam', beams=2.5), 'expected int from 1'),
    (dict(name='beam', beams=True), 'expected int from 1'),
    (dict(name='beam', gnmt=1), 'expected bool'),
    (dict(name='beam', length_penalty='much'), 'expected float from 0 to 10'),
    (dict(name='beam', coverage_penalty=-0.1), 'expected float from 0 to 100'),
    (
      dict(name='beam', early_stopping='nevr'),
      'early_stopping of search beam .*did you mean never',
    ),
    (dict(name='beam', early_stopping=1), 'possible are false, never, true'),
    (dict(name='sample', temperature=0), 'expected float from 1e-06'),
    (dict(name='sample', top_p=1.1), 'expected float from 0 to 1,'),
    (dict(name='sample', top_k=-1), 'expected int from 0'),
    (dict(name='sample', samples=0), 'expected int from 1'),
  ],
)
def test_bad_specs_are_refused(spec, says):
  with pytest.raises(UserError, match=says):
    search.make_search(spec)
