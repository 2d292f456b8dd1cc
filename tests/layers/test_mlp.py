"""Feed-forward layers against their formulas."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf, expit

from vitlab.errors import UserError
from vitlab.layers.mlp import make_mlp

FORMULAS = {
  'gelu': lambda up, gate: up * (1 + erf(up / np.sqrt(2))) / 2,
  'gelu_tanh': lambda up, gate: (
    up * (1 + np.tanh(np.sqrt(2 / np.pi) * (up + 0.044715 * up**3))) / 2
  ),
  'relu': lambda up, gate: np.maximum(up, 0),
  'swish': lambda up, gate: up * expit(up),
  'swiglu': lambda up, gate: gate * expit(gate) * up,
}


@pytest.mark.parametrize('name', FORMULAS)
def test_is_its_formula(name, x64):
  mlp, x = make_mlp(name, 6, dtype=jnp.float64), np.random.default_rng(0).normal(size=(3, 4))
  params = mlp.init(jax.random.key(0), jnp.asarray(x))['params']
  params = jax.tree.map(lambda p: p.astype('float64') + 0.1, params)
  dense = lambda name, x: x @ params[name]['kernel'] + params[name]['bias']  # noqa: E731
  up, gate = np.asarray(dense('up', x)), np.asarray(dense('gate' if 'gate' in params else 'up', x))
  got = mlp.apply({'params': params}, jnp.asarray(x))
  np.testing.assert_allclose(got, dense('down', FORMULAS[name](up, gate)), atol=1e-12)


def test_dropout_acts_in_training_alone():
  mlp, x = make_mlp('relu', 64, dropout_rate=0.5), jnp.ones((3, 4))
  variables = mlp.init(jax.random.key(0), x)
  rngs = {'dropout': jax.random.key(1)}
  np.testing.assert_array_equal(mlp.apply(variables, x), mlp.apply(variables, x, rngs=rngs))
  assert (mlp.apply(variables, x, True, rngs=rngs) != mlp.apply(variables, x)).all()


def test_an_unknown_name_lists_the_known_ones():
  with pytest.raises(UserError, match='did you mean swiglu'):
    make_mlp('swigelu', 6)


def test_a_paper_s_own_initialisation():
  params = make_mlp('gelu', 64, kernel_init=nn.initializers.constant(2)).init(
    jax.random.key(0), jnp.ones((3, 4))
  )['params']
  np.testing.assert_array_equal(params['up']['kernel'], 2)
  np.testing.assert_array_equal(params['down']['kernel'], 2)
