"""Classes of texts; the contract is in test_contract.py."""

import jax
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.models import bert
from vitlab.tasks import text_classification

BATCH = dict(
  tokens=np.array([[1, 5, 6, 2], [1, 7, 2, 0]], np.int32),
  segments=np.array([[1, 1, 1, 1], [1, 1, 1, 0]], np.int32),
  label=np.array([0, 2], np.int32),
)


def test_features_are_those_of_the_first_token():
  model = bert.make(9, 'mu', head='text', num_classes=3, max_length=4)
  made = text_classification.make(model, 3)
  variables = jax.jit(made.init)(jax.random.key(0), BATCH)
  found = jax.jit(made.predict['features'])(variables, BATCH)
  out = jax.jit(model.apply)(variables['model'], BATCH['tokens'], BATCH['segments'])[1]
  np.testing.assert_allclose(found, out['features'][:, 0], rtol=1e-6)


def test_a_model_that_does_not_fit_is_refused():
  for words in (dict(head='text', num_classes=4), dict(head='tokens', num_classes=3)):
    model = bert.make(9, 'mu', max_length=4, **words)
    made = text_classification.make(model, 3)
    variables = jax.eval_shape(made.init, jax.random.key(0), BATCH)
    with pytest.raises(UserError, match='the task has 3 classes a text'):
      jax.eval_shape(made.losses['model'], variables, BATCH, jax.random.key(0))


def test_what_cannot_be_is_said():
  with pytest.raises(UserError, match='label_smoothing=1'):
    text_classification.make(bert.make(9, 'mu'), 3, label_smoothing=1.0)


def test_what_a_config_says_of_texts_that_are_not_here():
  found = text_classification.assumed(dict(max_length=5), dict(vocab_size=9, num_classes=3))
  assert found.buckets == (5,) and found.example['tokens'].shape == (5,)
  assert text_classification.assumed({}, dict(vocab_size=9, num_classes=3)) is None
