"""Norms by name: their formulas with their epsilon, statistics in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.layers.norms import make_norm


@pytest.mark.parametrize('epsilon', [0.5, 1e-6])
@pytest.mark.parametrize('name', ['layernorm', 'rmsnorm'])
def test_is_its_formula(name, epsilon):
  x = jnp.asarray(np.random.default_rng(0).normal(2, 1, (3, 8)), jnp.float32)
  norm = make_norm(name, epsilon)
  y = norm.apply(norm.init(jax.random.key(0), x), x)
  centred = x - x.mean(-1, keepdims=True) if name == 'layernorm' else x
  expected = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
  np.testing.assert_allclose(y, expected, atol=1e-5)


def test_a_large_mean_does_not_cancel_the_variance():
  x = 1000 + jnp.asarray(np.random.default_rng(0).normal(size=(4, 64)), jnp.float32)
  norm = make_norm('layernorm', 1e-6)
  y = norm.apply(norm.init(jax.random.key(0), x), x)
  np.testing.assert_allclose(y.std(-1), 1, atol=1e-3)


def test_statistics_of_16_bit_numbers_are_float32():
  x = jax.random.normal(jax.random.key(0), (4, 512)).astype(jnp.bfloat16)
  norm = make_norm('layernorm', 1e-6, jnp.bfloat16)
  y = norm.apply(norm.init(jax.random.key(0), x), x)
  exact = make_norm('layernorm', 1e-6)
  exact = exact.apply(exact.init(jax.random.key(0), x), x.astype(jnp.float32))
  assert y.dtype == jnp.bfloat16
  np.testing.assert_array_equal(y, exact.astype(jnp.bfloat16))


def test_an_unknown_name_lists_the_known_ones():
  with pytest.raises(UserError, match='did you mean layernorm'):
    make_norm('layer_norm', 1e-6)
