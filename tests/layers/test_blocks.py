"""Residual blocks: what the branches add, and what training drops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.layers.attention import SelfAttention
from vitlab.layers.blocks import Block, LayerScale
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


def test_post_norm_ends_the_branches():
  """A norm of zeros is a branch of zeros only where the norm comes last."""
  for post_norm in (False, True):
    layer, variables = block(post_norm=post_norm)
    for name in ('norm1', 'norm2'):
      variables['params'][name] = jax.tree.map(jnp.zeros_like, variables['params'][name])
    variables['params']['mlp']['down']['bias'] += 1
    changed = (layer.apply(variables, X)[0] != X).any()
    assert changed != post_norm


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
