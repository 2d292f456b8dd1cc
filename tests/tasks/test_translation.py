"""What translation computes: the loss by hand, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from vitlab.errors import UserError
from vitlab.models import rnn_seq2seq
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


@pytest.fixture(scope='module')
def variables(model):
  like = jax.eval_shape(model.init, jax.random.key(0), BATCH['tokens'], BATCH['targets'])
  random = np.random.default_rng(0)
  params = jax.tree.map(lambda x: jnp.asarray(random.normal(0, 1, x.shape), x.dtype), like)
  return {'model': params}


@pytest.mark.parametrize('smoothing', [0.0, 0.2])
def test_the_loss_is_the_mean_over_tokens_that_count(model, variables, smoothing):
  task = translation.make(model, label_smoothing=smoothing)
  loss = task.losses['model'](variables, BATCH, jax.random.key(0))
  inputs = shift_right(BATCH['targets'])
  logits = np.asarray(model.apply(variables['model'], BATCH['tokens'], inputs)[0], np.float64)
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
  scores = task.predict['scores'](variables, BATCH)
  loss = translation.make(model).losses['model'](variables, BATCH, jax.random.key(0))
  assert float(scores['loss'].sum()) == pytest.approx(float(loss.metrics['loss'][0]), rel=1e-5)
  assert scores['tokens'].tolist() == [3, 2, 0]


@pytest.mark.parametrize('beams', [1, 3])
def test_what_is_decoded_is_as_probable_as_it_says(model, variables, beams):
  """Its score is what the teacher-forced model gives it."""
  task = translation.make(model, max_ratio=1.0, beams=beams, length_penalty=0.0)
  said = jax.jit(task.predict['decoded'])(variables, BATCH)
  assert said['tokens'].shape == (3, 4 + 8)
  again = task.predict['scores'](variables, BATCH | {'targets': said['tokens']})
  np.testing.assert_allclose(said['score'][:2], -again['loss'][:2], rtol=1e-4)
  for row, tokens in enumerate(np.asarray(said['tokens'][:2])):
    assert np.count_nonzero(tokens) <= np.count_nonzero(BATCH['tokens'][row]) + 8


def test_more_beams_find_what_is_more_probable(model, variables):
  scores = [
    translation.make(model, beams=beams, length_penalty=0.0).predict['decoded'](variables, BATCH)
    for beams in (1, 4)
  ]
  assert np.all(scores[1]['score'] >= scores[0]['score'] - 1e-5)


def test_a_source_alone_is_enough_to_decode(model, variables):
  alone = translation.make(model).predict['decoded'](variables, {'tokens': BATCH['tokens'][:2]})
  with_all = translation.make(model).predict['decoded'](variables, BATCH)
  np.testing.assert_array_equal(alone['tokens'], with_all['tokens'][:2])


def test_attention_that_is_not_there_cannot_be_seen(variables):
  task = translation.make(rnn_seq2seq.make(9, width=6))
  variables = task.init(jax.random.key(0), BATCH)
  with pytest.raises(UserError, match='RNNSeq2Seq has no attention'):
    task.predict['cross_attention'](variables, BATCH)


@pytest.mark.parametrize('words', [dict(label_smoothing=1.0), dict(max_ratio=0.0), dict(beams=0)])
def test_bad_words_are_refused(model, words):
  with pytest.raises(UserError, match=r'the smoothing lies in \[0, 1\), the ratio above 0, and'):
    translation.make(model, **words)
