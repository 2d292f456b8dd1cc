"""A model in training mode: dropout by its key, and every collection but the parameters moves."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vitlab.tasks import apply_train


class Counting(nn.Module):
  """Drops half of x, and counts its calls."""

  @nn.compact
  def __call__(self, x, train):
    weight = self.param('weight', nn.initializers.ones, ())
    calls = self.variable('calls', 'count', lambda: jnp.zeros((), jnp.int32))
    calls.value += train
    return nn.Dropout(0.5)(weight * x, deterministic=not train), {}


def test_dropout_acts_by_the_key_and_what_changes_is_handed_back():
  x = jnp.ones(64)
  variables = Counting().init(jax.random.key(0), x, train=False)
  keys = jax.random.split(jax.random.key(1))
  (y, out), mutated = apply_train(Counting(), variables, x, key=keys[0])
  assert out == {} and set(np.unique(y)) == {0.0, 2.0}
  assert mutated == {'calls': {'count': 1}}
  (again, _), _ = apply_train(Counting(), variables, x, key=keys[0])
  (other, _), _ = apply_train(Counting(), variables, x, key=keys[1])
  np.testing.assert_array_equal(again, y)
  assert (other != y).any()
