"""Attention in windows is attention over the map for those who may look; the bias knows offsets."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.layers.attention import CosineAttention, SelfAttention
from vitlab.layers.window_attention import (
  ContinuousPositionBias,
  RelativePositionBias,
  WindowAttention,
)

WINDOW = 4


def layer(version, dtype='float64'):
  if version == 1:
    return WindowAttention(SelfAttention(2, dtype=dtype), RelativePositionBias(2), WINDOW)
  bias = ContinuousPositionBias(2, hidden=8, dtype=dtype)
  return WindowAttention(CosineAttention(2, dtype=dtype), bias, WINDOW)


def perturbed(module, *inputs):
  """Parameters in float64, none of them zero."""
  params = jax.jit(lambda key: module.init(key, *inputs))(jax.random.key(0))
  leaves, tree = jax.tree.flatten(params)
  keys = jax.random.split(jax.random.key(1), len(leaves))
  return jax.tree.unflatten(tree, [p + jax.random.normal(k, p.shape) for p, k in zip(leaves, keys)])


def random_map(*size):
  return jax.random.normal(jax.random.key(2), (2, *size, 8), 'float64')


@pytest.mark.parametrize('version', [1, 2])
@pytest.mark.parametrize('shifted', [False, True])
@pytest.mark.parametrize('size', [(8, 12), (4, 4), (4, 8)])
def test_windows_are_full_attention_under_a_mask(version, shifted, size, x64):
  """Each window of the paper's figure 4, written down pixel by pixel on the whole map."""
  x = random_map(*size)
  module = layer(version)
  params = perturbed(module, x)
  got, seen = jax.jit(module.apply, static_argnames='shifted')(params, x, shifted=shifted)

  # Who is in one window, and the offset of every query from every key.
  shift = WINDOW // 2 if shifted and min(size) > WINDOW else 0
  y, column = np.divmod(np.arange(size[0] * size[1]), size[1])
  number = [(a + WINDOW - shift) // WINDOW for a in (y, column)]
  mask = np.all([a[:, None] == a for a in number], axis=0)
  dy, dx = (np.clip(a[:, None] - a, 1 - WINDOW, WINDOW - 1) for a in (y, column))
  # A query and a key of one window that lie as far apart.
  query, key = (np.maximum(s * dy, 0) * WINDOW + np.maximum(s * dx, 0) for s in (1, -1))
  own = dict(params['params'])
  pairs = module.position_bias.apply({'params': own.pop('position_bias')}, WINDOW)
  options = dict(mask=jnp.asarray(mask)[None, None], bias=pairs[None][:, :, query, key])
  expected, full = module.attention.apply({'params': own}, x.reshape(2, -1, 8), **options)
  np.testing.assert_allclose(got.reshape(2, -1, 8), expected, atol=1e-12)

  place = np.roll(np.arange(size[0] * size[1]).reshape(size), (-shift, -shift), (0, 1))
  place = place.reshape(size[0] // WINDOW, WINDOW, size[1] // WINDOW, WINDOW)
  place = place.transpose(0, 2, 1, 3).reshape(-1, WINDOW**2)
  full = np.asarray(full['attention'])[:, :, place[:, :, None], place[:, None]]
  np.testing.assert_allclose(seen['attention'], full.transpose(0, 2, 1, 3, 4), atol=1e-12)


@pytest.mark.parametrize('version', [1, 2])
def test_padding_is_seen_by_the_map_beside_it_and_cropped(version, x64):
  """A map of 6 × 7 in windows of 4 is one of 8 × 8 with zeros, of which none come back."""
  x = random_map(6, 7)
  module = layer(version)
  params = perturbed(module, x)
  apply = jax.jit(module.apply, static_argnames='shifted')
  for shifted in (False, True):
    got, seen = apply(params, x, shifted=shifted)
    padded = jnp.pad(x, ((0, 0), (0, 2), (0, 1), (0, 0)))
    expected, same = apply(params, padded, shifted=shifted)
    assert got.shape == x.shape
    np.testing.assert_allclose(got, expected[:, :6, :7], atol=1e-12)
    np.testing.assert_allclose(seen['attention'], same['attention'], atol=1e-12)


def test_padded_keys_of_no_length_have_gradients(x64):
  """Keys of version 2 have no bias: those of padding are zero, and x / |x| has none there."""
  x = random_map(6, 7)
  module = layer(2)
  params = perturbed(module, x)
  grads = jax.jit(jax.grad(lambda p: jnp.sin(module.apply(p, x)[0]).sum()))(params)
  assert all(np.isfinite(g).all() and g.any() for g in jax.tree.leaves(grads))


def test_parameters_are_those_of_the_attention_and_the_bias():
  x = jnp.zeros((1, 8, 8, 8))
  shapes = jax.tree.map(jnp.shape, jax.eval_shape(layer(2, 'float32').init, jax.random.key(0), x))[
    'params'
  ]
  assert shapes['logit_scale'] == (2,)
  assert shapes['q_bias'] == shapes['v_bias'] == (2, 4)
  assert set(shapes) == {'qkv', 'q_bias', 'v_bias', 'logit_scale', 'out', 'position_bias'}
  assert set(shapes['qkv']) == {'kernel'}
  assert shapes['position_bias'] == dict(
    up=dict(kernel=(2, 8), bias=(8,)), down=dict(kernel=(8, 2))
  )


def test_smaller_windows_have_the_smaller_offsets_of_the_table():
  bias = RelativePositionBias(2)
  params = bias.init(jax.random.key(0), 5)
  large, small = (bias.apply(params, w).reshape(2, w, w, w, w) for w in (5, 3))
  np.testing.assert_array_equal(small, large[:, 1:4, 1:4, 1:4, 1:4])


def test_larger_windows_than_the_table_are_refused():
  bias = RelativePositionBias(2)
  params = bias.init(jax.random.key(0), 3)
  with pytest.raises(UserError, match='windows of 5×5, .* learned on 3×3\nresample it with'):
    bias.apply(params, 5)


def test_the_continuous_bias_is_bounded_and_follows_the_offset():
  bias = ContinuousPositionBias(2, hidden=16, pretrained_window=3)
  params = perturbed(bias, 3)
  small, large = (np.asarray(bias.apply(params, w)).reshape(2, w, w, w, w) for w in (3, 5))
  np.testing.assert_allclose(large[:, :3, :3, :3, :3], small, atol=1e-5)
  assert 0 <= large.min() < large.max() <= 16


def test_shared_scopes_survive_a_parent():
  """A block names the attention; its parameters lie there, not one floor deeper."""

  class Parent(nn.Module):
    attention: nn.Module

    @nn.compact
    def __call__(self, x):
      return self.attention(x)

  x = jnp.zeros((1, 8, 8, 8))
  shapes = jax.eval_shape(Parent(layer(1, 'float32')).init, jax.random.key(0), x)['params']
  assert set(shapes) == {'attention'}
  assert set(shapes['attention']) == {'qkv', 'out', 'position_bias'}
