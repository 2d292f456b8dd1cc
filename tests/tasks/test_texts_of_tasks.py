"""What classifiers of texts and of their words share: padding, and parts that a model has not."""

import jax
import numpy as np
import pytest
from flax import linen as nn

from vitlab.errors import UserError
from vitlab.tasks import _texts, text_classification

BATCH = dict(tokens=np.ones((2, 3), np.int32), segments=np.ones((2, 3), np.int32))


class Blind(nn.Module):
  """Gives logits and nothing beside them."""

  @nn.compact
  def __call__(self, tokens, segments, train=False):
    return nn.Dense(3)(segments.astype(float)), {}


def test_rows_that_are_no_examples_are_padding():
  tokens, segments = _texts.inputs(jax.tree.map(jax.numpy.asarray, BATCH))
  assert (tokens == 1).all() and (segments == 1).all()
  masked = jax.tree.map(jax.numpy.asarray, BATCH | dict(mask=np.array([True, False])))
  assert _texts.inputs(masked)[1].tolist() == [[1, 1, 1], [0, 0, 0]]


def test_a_part_that_the_model_has_not_is_named():
  task = text_classification.make(Blind(), 3)
  variables = jax.jit(task.init)(jax.random.key(0), BATCH)
  for name in ('attention', 'features'):
    with pytest.raises(UserError, match=f'the model Blind gives no {name}'):
      jax.eval_shape(task.predict[name], variables, BATCH)
