"""Pools read what they say and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.layers import pooling
from vitlab.layers.attention import CrossAttention
from vitlab.layers.mlp import make_mlp
from vitlab.layers.norms import make_norm


def attention_pool():
  layer = pooling.AttentionPool(
    CrossAttention(2), make_mlp('gelu', 8), make_norm('layernorm', 1e-6)
  )
  variables = jax.jit(layer.init, static_argnums=2)(jax.random.key(0), jnp.ones((1, 5, 4)), 2)
  return lambda tokens, num_prefix: layer.apply(variables, tokens, num_prefix)


@pytest.mark.parametrize(
  ('pool', 'read'),
  [
    (lambda: pooling.class_token, [1, 0, 0, 0, 0]),
    (lambda: pooling.mean, [0, 0, 1, 1, 1]),
    (lambda: pooling.class_token_and_mean, [1, 0, 1, 1, 1]),
    (attention_pool, [0, 0, 1, 1, 1]),
  ],
)
def test_which_tokens_are_read(pool, read):
  tokens = jax.random.normal(jax.random.key(1), (1, 5, 4))
  pool = pool()
  gradient = jax.jit(jax.grad(lambda x: jnp.sin(pool(x, 2)).sum()))(tokens)
  np.testing.assert_array_equal((gradient[0] != 0).any(-1), read)


def test_the_mean_of_16_bit_tokens_is_summed_in_float32():
  tokens = jnp.ones((1, 3000, 1), jnp.bfloat16)
  assert pooling.mean(tokens, 0).dtype == jnp.bfloat16
  assert pooling.mean(tokens, 0) == 1


def test_the_largest_patches_and_the_middle_to_the_mean():
  tokens = jnp.array([[[9.0, 9], [1, 6], [3, 2]]])
  np.testing.assert_array_equal(pooling.maximum(tokens, 1), [[3, 6]])
  np.testing.assert_array_equal(pooling.mean_and_maximum(tokens, 1), [[2.5, 5]])


def test_attention_pool_does_not_mind_the_order():
  tokens = jax.random.normal(jax.random.key(1), (1, 5, 4))
  pool = jax.jit(attention_pool(), static_argnums=1)
  np.testing.assert_allclose(pool(tokens, 0), pool(tokens[:, ::-1], 0), atol=1e-5)


def test_pools_by_name():
  parts = CrossAttention(2), make_mlp('gelu', 8), make_norm('layernorm', 1e-6)
  names = dict(cls=pooling.class_token, gap=pooling.mean, gap_norm=pooling.mean)
  names['cls_gap'] = pooling.class_token_and_mean
  names |= dict(max=pooling.maximum, avgmax_norm=pooling.mean_and_maximum)
  assert {name: pooling.make_pool(name, *parts) for name in names} == names
  assert pooling.make_pool('map', *parts) == pooling.AttentionPool(*parts)
  with pytest.raises(UserError, match="unknown pool 'min'.*map"):
    pooling.make_pool('min', *parts)
