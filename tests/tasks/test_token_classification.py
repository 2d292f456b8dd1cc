"""Classes of words, by their first tokens; the contract is in test_contract.py."""

import jax
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.models import bert
from vitlab.tasks import token_classification

BATCH = dict(
  tokens=np.array([[1, 5, 6, 2], [1, 7, 2, 0]], np.int32),
  segments=np.array([[1, 1, 1, 1], [1, 1, 1, 0]], np.int32),
  classes=np.array([[-1, 0, 2, -1], [-1, 1, -1, 0]], np.int32),
)
MODEL = bert.make(9, 'mu', head='tokens', num_classes=3, max_length=4, pooler=False)


@pytest.fixture(scope='module')
def made():
  task = token_classification.make(MODEL, 3)
  variables = jax.jit(task.init)(jax.random.key(0), BATCH)
  random = np.random.default_rng(0)
  return task, jax.tree.map(lambda x: x + random.normal(0, 0.5, x.shape).astype('f'), variables)


def test_the_loss_is_a_mean_over_first_tokens_of_words(made):
  task, variables = made
  logits = np.asarray(jax.jit(task.predict['logits'])(variables, BATCH), np.float64)
  nll = np.log(np.exp(logits).sum(-1))[..., None] - logits
  counted = [nll[0, 1, 0], nll[0, 2, 2], nll[1, 1, 1]]  # and no padding, though it says class 0
  task = token_classification.make(MODEL.clone(dropout_rate=0.0), 3)
  scores = jax.jit(task.predict['scores'])(variables, BATCH)
  np.testing.assert_allclose(scores['nll'][scores['counted']], counted, rtol=1e-5)
  assert scores['counted'].sum() == 3 and float(scores['nll'].sum()) == pytest.approx(sum(counted))
  np.testing.assert_array_equal(scores['guess'], logits.argmax(-1))
  np.testing.assert_array_equal(scores['tag'], BATCH['classes'])


def test_a_model_that_does_not_fit_is_refused():
  for words in (dict(head='tokens', num_classes=4), dict(head='text', num_classes=3)):
    model = bert.make(9, 'mu', max_length=4, **words)
    task = token_classification.make(model, 3)
    variables = jax.eval_shape(task.init, jax.random.key(0), BATCH)
    with pytest.raises(UserError, match='the task has 3 classes of tokens'):
      jax.eval_shape(task.losses['model'], variables, BATCH, jax.random.key(0))


def test_what_cannot_be_is_said():
  with pytest.raises(UserError, match='label_smoothing=1'):
    token_classification.make(MODEL, 3, label_smoothing=1.0)


def test_what_a_config_says_of_texts_that_are_not_here():
  found = token_classification.assumed(dict(max_length=5), dict(vocab_size=9, num_classes=3))
  assert found.buckets == (5,) and found.example['classes'].shape == (5,)
  assert token_classification.assumed({}, dict(vocab_size=9, num_classes=3)) is None
