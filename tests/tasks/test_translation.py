"""What translation computes: the loss by hand, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from vitlab.errors import UserError
from vitlab.models import rnn_seq2seq, transformer
from vitlab.ops.tokens import EOS, shift_right
from vitlab.tasks import translation

BATCH = dict(
  tokens=jnp.array([[4, 5, 6, EOS], [7, EOS, 0, 0], [8, 8, EOS, 0]]),
  targets=jnp.array([[6, 5, EOS], [7, EOS, 0], [8, 4, EOS]]),
  mask=jnp.array([True, True, False]),
)


@pytest.fixture(scope='module')
def model():
  return rnn_seq2seq.make(9, width=6, attention='additive')


def random(model):
  like = jax.eval_shape(model.init, jax.random.key(0), BATCH['tokens'], BATCH['targets'])
  rng = np.random.default_rng(0)
  params = jax.tree.map(lambda x: jnp.asarray(rng.normal(0, 1, x.shape), x.dtype), like)
  return {'model': params}


@pytest.fixture(scope='module')
def variables(model):
  return random(model)


@pytest.mark.parametrize('smoothing', [0.0, 0.2])
def test_the_loss_is_the_mean_over_tokens_that_count(model, variables, smoothing):
  task = translation.make(model, label_smoothing=smoothing)
  loss = jax.jit(task.losses['model'])(variables, BATCH, jax.random.key(0))
  inputs = shift_right(BATCH['targets'])
  logits, _ = jax.jit(model.apply)(variables['model'], BATCH['tokens'], inputs)
  logits = np.asarray(logits, np.float64)
  total, right, count = 0.0, 0, 0
  for row in range(2):
    for position, target in enumerate(BATCH['targets'][row]):
      if target:
        log_probability = log_softmax(logits[row, position])
        total -= (1 - smoothing) * log_probability[target] + smoothing * log_probability.mean()
        right, count = right + (logits[row, position].argmax() == target), count + 1
  assert count == loss.weight == 5
  assert float(loss.value) == pytest.approx(total / count, rel=1e-5)
  assert [float(x) for x in loss.metrics['token_accuracy']] == [right, count]


def test_scores_are_those_of_the_targets(model, variables):
  task = translation.make(model, label_smoothing=0.3)  # of training only
  scores = jax.jit(task.predict['scores'])(variables, BATCH)
  loss = jax.jit(translation.make(model).losses['model'])(variables, BATCH, jax.random.key(0))
  assert float(scores['loss'].sum()) == pytest.approx(float(loss.metrics['loss'][0]), rel=1e-5)
  assert scores['tokens'].tolist() == [3, 2, 0]


SEARCHES = {
  'greedy': dict(name='greedy'),
  'beam': dict(name='beam', beams=3, length_penalty=0.0),
  'sample': dict(name='sample', samples=3, temperature=1.5, top_k=5, top_p=0.95, seed=7),
}


def decode(model, variables, batch=BATCH, max_ratio=2.0, max_tokens=0, **spec):
  task = translation.make(model, max_ratio=max_ratio, max_tokens=max_tokens, search=spec)
  return jax.jit(task.predict['decoded'])(variables, batch)


@pytest.mark.parametrize('spec', SEARCHES.values(), ids=SEARCHES)
def test_what_is_decoded_is_as_probable_as_it_says(model, variables, spec):
  """Every score is what the teacher-forced model gives the sentence; the best come first."""
  said = decode(model, variables, max_ratio=1.0, **spec)
  count = 1 if spec['name'] == 'greedy' else 3
  assert said['tokens'].shape == (3, count, 4 + 8) and said['score'].shape == (3, count)
  assert np.all(said['score'][:, :-1] >= said['score'][:, 1:])
  scores = jax.jit(translation.make(model).predict['scores'])
  for i in range(count):
    again = scores(variables, BATCH | {'targets': said['tokens'][:, i]})
    np.testing.assert_allclose(said['score'][:2, i], -again['loss'][:2], rtol=1e-4)
  for row, tokens in enumerate(np.asarray(said['tokens'][:2])):
    most = np.count_nonzero(BATCH['tokens'][row]) + 8
    assert np.all(np.count_nonzero(tokens, axis=-1) <= most)


@pytest.mark.parametrize('spec', SEARCHES.values(), ids=SEARCHES)
def test_all_sentences_may_have_the_same_room(model, variables, spec):
  """Whatever their source; what only fills the batch has none."""
  said = decode(model, variables, max_tokens=3, **spec)['tokens']
  assert said.shape[-1] == 3 and not np.any(said[2])
  assert np.any(said[:2, :, 2])


def test_more_beams_find_what_is_more_probable(model, variables):
  scores = [
    decode(model, variables, name='beam', beams=beams, length_penalty=0.0)['score'][:, 0]
    for beams in (1, 4)
  ]
  assert np.all(scores[1] >= scores[0] - 1e-5)


def test_what_is_sampled_depends_on_the_seed_and_its_source_alone(model, variables):
  spec = SEARCHES['sample']
  said = decode(model, variables, **spec)['tokens']
  tokens = jnp.pad(BATCH['tokens'][1:2], [(0, 2), (0, 0)], constant_values=5)[::-1]
  moved = decode(model, variables, {'tokens': jnp.pad(tokens, [(0, 0), (0, 3)])}, **spec)['tokens']
  width = said.shape[-1]
  np.testing.assert_array_equal(moved[2, :, :width], said[1])
  assert not np.any(moved[2, :, width:])
  other = decode(model, variables, **spec | dict(seed=8))['tokens']
  assert np.any(other[:2] != said[:2], axis=(1, 2)).all()


def covered(model, variables, tokens, said):
  """Σ_i log min(Σ_j p_ij, 1) by the attention of the whole model; `said` [b t]."""
  out = model.apply(variables['model'], tokens, shift_right(said))[1]
  weights = np.asarray(out['cross_attention'][-1], np.float64).mean(1)
  sums = (weights * (np.asarray(said) != 0)[..., None]).sum(1)
  return np.log(np.where(np.asarray(tokens) != 0, np.minimum(sums, 1), 1)).sum(-1)


@pytest.mark.parametrize('family', ['rnn', 'transformer'])
def test_coverage_adds_to_the_score_what_the_attention_says(family):
  if family == 'rnn':
    model = rnn_seq2seq.make(9, width=6, attention='additive', attention_order='previous')
  else:
    model = transformer.make(9, 'mu', dropout_rate=0.0)
  variables = random(model)
  options = dict(name='beam', beams=3, length_penalty=0.0)
  said = decode(model, variables, **options, coverage_penalty=0.7)
  scores = jax.jit(translation.make(model).predict['scores'])
  for i in range(3):
    sentence = said['tokens'][:, i]
    log_probability = -scores(variables, BATCH | {'targets': sentence})['loss']
    expected = log_probability + 0.7 * covered(model, variables, BATCH['tokens'], sentence)
    np.testing.assert_allclose(said['score'][:2, i], expected[:2], rtol=1e-4)


def test_coverage_wants_attention():
  model = rnn_seq2seq.make(9, width=6)
  variables = random(model)
  decode(model, variables, name='beam')
  with pytest.raises(UserError, match='RNNSeq2Seq has no attention: search without coverage'):
    decode(model, variables, name='beam', coverage_penalty=0.2)


def test_a_source_alone_is_enough_to_decode(model, variables):
  decode = jax.jit(translation.make(model).predict['decoded'])
  alone = decode(variables, {'tokens': BATCH['tokens'][:2]})
  with_all = decode(variables, BATCH)
  np.testing.assert_array_equal(alone['tokens'], with_all['tokens'][:2])


def test_attention_that_is_not_there_cannot_be_seen():
  task = translation.make(rnn_seq2seq.make(9, width=6))
  variables = jax.eval_shape(task.init, jax.random.key(0), BATCH)
  with pytest.raises(UserError, match='RNNSeq2Seq has no attention'):
    jax.eval_shape(task.predict['cross_attention'], variables, BATCH)


@pytest.mark.parametrize(
  'words', [dict(label_smoothing=1.0), dict(max_ratio=0.0), dict(max_tokens=-1)]
)
def test_bad_words_are_refused(model, words):
  with pytest.raises(UserError, match=r'the smoothing lies in \[0, 1\), the ratio above 0'):
    translation.make(model, **words)


def test_a_bad_search_is_refused_at_once(model):
  with pytest.raises(UserError, match='did you mean beam'):
    translation.make(model, search=dict(name='beams'))


def test_what_a_config_says_of_text_that_is_not_here():
  known = translation.assumed(dict(vocab_size=9, lengths=(4, 8)), {})
  assert known.buckets == (4, 8) and known.facts['vocab_size'] == 9
  assert {key: row.shape for key, row in known.example.items()} == dict(tokens=(8,), targets=(8,))
  assert translation.assumed(dict(vocab_size=9), {}) is None
