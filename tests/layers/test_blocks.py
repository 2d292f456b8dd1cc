"""Residual blocks: what the branches add, and what training drops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.layers.attention import CrossAttention, SelfAttention
from vitlab.layers.blocks import PLACES, Block, LayerScale
from vitlab.layers.mlp import make_mlp
from vitlab.layers.norms import make_norm

X = jax.random.normal(jax.random.key(0), (64, 3, 8))


def block(**options):
  layer = Block(SelfAttention(2), make_mlp('gelu', 16), make_norm('layernorm', 1e-6), **options)
  return layer, layer.init(jax.random.key(1), X)


def test_parameter_names_are_the_interface():
  _, variables = block(scale=LayerScale(0.1))
  names = {name: set(tree) for name, tree in variables['params'].items()}
  assert names == dict(
    norm1={'scale', 'bias'},
    attention={'qkv', 'out'},
    scale1={'gamma'},
    norm2={'scale', 'bias'},
    mlp={'up', 'down'},
    scale2={'gamma'},
  )


def test_the_result_is_the_input_plus_the_branches():
  layer, variables = block()
  x, out = layer.apply(variables, X)
  np.testing.assert_allclose(x, X + out['attention_out'] + out['mlp_out'], atol=1e-6)
  np.testing.assert_array_equal(x, out['tokens'])


@pytest.mark.parametrize('place', PLACES)
def test_where_the_norms_stand(place):
  """By formula, with norms that are not trivial."""
  layer, variables = block(norm_place=place)
  params = variables['params']
  for name, shift in (('norm1', 0.3), ('norm2', -0.5)):
    params[name] = jax.tree.map(lambda x, add=shift: x + add, params[name])

  def norm(i, x):
    return layer.norm.apply({'params': params[f'norm{i}']}, x)

  def attention(x):
    return layer.attention.apply({'params': params['attention']}, x)[0]

  def mlp(x):
    return layer.mlp.apply({'params': params['mlp']}, x)

  x = X
  for i, f in ((1, attention), (2, mlp)):
    if place == 'pre':
      x = x + f(norm(i, x))
    elif place == 'post':
      x = norm(i, x + f(x))
    else:
      x = x + norm(i, f(x))
  np.testing.assert_allclose(layer.apply(variables, X)[0], x, atol=1e-5)


def test_a_decoder_looks_at_a_memory_between_attention_and_mlp():
  parts = SelfAttention(2), make_mlp('gelu', 16), make_norm('layernorm', 1e-6)
  layer = Block(*parts, cross=CrossAttention(2))
  memory = jax.random.normal(jax.random.key(3), (64, 5, 6))
  mask = jnp.arange(5)[None, None, None] < 4
  variables = layer.init(jax.random.key(1), X, memory=memory)
  assert {'norm1', 'norm2', 'norm3', 'cross'} < set(variables['params'])
  x, out = layer.apply(variables, X, memory=memory, memory_mask=mask)
  branches = out['attention_out'], out['cross_out'], out['mlp_out']
  np.testing.assert_allclose(x, X + sum(branches), atol=1e-5)
  assert out['cross_attention'].shape == (64, 2, 3, 5) and not out['cross_attention'][..., 4].any()
  known = out['cross_k'], out['cross_v']
  again, _ = layer.apply(variables, X, memory=known, memory_mask=mask)
  np.testing.assert_array_equal(again, x)


def test_positions_reach_both_attentions_of_a_decoder():
  parts = SelfAttention(2), make_mlp('gelu', 16), make_norm('layernorm', 1e-6)
  layer = Block(*parts, norm_place='post', cross=CrossAttention(2, dropout_rate=0.5))
  memory, places = (jax.random.normal(jax.random.key(i), (64, 5, 6)) for i in (3, 4))
  here = jax.random.normal(jax.random.key(5), X.shape)
  variables = layer.init(jax.random.key(1), X, memory=memory)
  part = lambda name: {'params': variables['params'][name]}  # noqa: E731
  norm = lambda i, x: layer.norm.apply(part(f'norm{i}'), x)  # noqa: E731
  x, out = layer.apply(variables, X, position=here, memory=memory, memory_position=places)
  y = norm(1, X + layer.attention.apply(part('attention'), X, position=here)[0])
  crossed = layer.cross.apply(part('cross'), y, memory, position=here, context_position=places)[0]
  y = norm(2, y + crossed)
  np.testing.assert_allclose(x, norm(3, y + layer.mlp.apply(part('mlp'), y)), atol=1e-5)
  again = dict(position=here, memory=memory, memory_position=places)
  _, dropped = layer.apply(variables, X, True, **again, rngs={'dropout': jax.random.key(0)})
  np.testing.assert_array_equal(dropped['attention_out'], out['attention_out'])
  assert abs(dropped['cross_out'] - out['cross_out']).max() > 0.1


def test_layer_scale_scales_the_branches():
  layer, variables = block(scale=LayerScale(0.0))
  np.testing.assert_array_equal(layer.apply(variables, X)[0], X)


def test_drop_path_skips_each_branch_for_whole_examples():
  layer, variables = block()
  rngs = {'dropout': jax.random.key(2)}
  _, out = layer.apply(variables, X, True, 0.5, rngs=rngs)
  skipped = [~np.asarray(out[name]).any((1, 2)) for name in ('attention_out', 'mlp_out')]
  assert all(16 < s.sum() < 48 for s in skipped)
  assert (skipped[0] != skipped[1]).any()
  evaluated, _ = layer.apply(variables, X, False, 0.5, rngs=rngs)
  np.testing.assert_array_equal(evaluated, layer.apply(variables, X)[0])


@pytest.mark.parametrize('train', [False, True])
def test_dropout_needs_training(train):
  layer, variables = block(dropout_rate=0.5)
  _, out = layer.apply(variables, X, train, rngs={'dropout': jax.random.key(2)})
  assert abs(float(jnp.mean(out['mlp_out'] == 0)) - 0.5 * train) < 0.1
