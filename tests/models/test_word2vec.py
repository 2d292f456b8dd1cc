"""Two tables of vectors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.models import word2vec


def test_vectors_start_small_and_targets_at_zero():
  model = word2vec.make(vocab_size=50, width=10)
  words = jnp.arange(50)
  params = model.init(jax.random.key(0), words, words)
  found, targets = model.apply(params, words, words[:3])
  assert found.shape == (50, 10) and targets.shape == (3, 10)
  assert 0.04 < np.abs(found).max() <= 0.05 and not targets.any()
  np.testing.assert_array_equal(model.apply(params, words, method='vectors'), found)


@pytest.mark.parametrize('spec', [dict(vocab_size=0), dict(vocab_size=3, width=0)])
def test_no_words_and_no_numbers_are_refused(spec):
  with pytest.raises(UserError):
    word2vec.make(**spec)
