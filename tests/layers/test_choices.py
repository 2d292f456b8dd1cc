"""Words of a config: what they stand for, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.layers import choices


def test_rates_are_probabilities_below_one():
  choices.check_rates(dropout_rate=0.0, drop_path_rate=0.99)
  for rate in (-0.1, 1.0, 10.0):
    with pytest.raises(UserError, match=f'drop_path_rate={rate} is not a probability'):
      choices.check_rates(dropout_rate=0.0, drop_path_rate=rate)


def test_a_dtype_by_name():
  assert choices.compute_dtype('bfloat16') == jnp.bfloat16
  with pytest.raises(UserError, match='float33.*bfloat16'):
    choices.compute_dtype('float33')


def test_a_classifier_starts_with_a_guess_in_float32():
  head = choices.classifier(7, jnp.dtype('bfloat16'))
  x = jnp.ones((2, 3), jnp.bfloat16)
  logits = head.apply(head.init(jax.random.key(0), x), x)
  assert logits.dtype == jnp.float32
  np.testing.assert_array_equal(logits, np.zeros((2, 7)))
  assert choices.classifier(None, jnp.dtype('float32')) is None
