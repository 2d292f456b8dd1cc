"""TNT's block: who hears of whom."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from vitlab.models import tnt

PATCHES, PIXELS = 6, 4


@cache
def block():
  """The module, parameters of which none is zero or one, pixels and tokens."""
  layer, rng = tnt.make('mu', width=16).encoder.block.clone(parent=None), np.random.default_rng(1)
  pixels, tokens = (
    jnp.asarray(rng.normal(size=shape), jnp.float32)
    for shape in [(2, PATCHES, PIXELS, 8), (2, PATCHES + 1, 16)]
  )
  shapes = jax.eval_shape(layer.init, jax.random.key(0), (pixels, tokens))['params']
  draw = lambda leaf: jnp.asarray(0.2 + 0.2 * rng.normal(size=leaf.shape), leaf.dtype)  # noqa: E731
  return layer, jax.tree.map(draw, shapes), pixels, tokens


@jax.jit
def run(params, pixels, tokens):
  return block()[0].apply({'params': params}, (pixels, tokens))[0]


def test_pixels_are_a_set_to_each_other_and_a_sequence_to_their_patch():
  """Permuted pixels leave the inner Transformer permuted; their patch hears something else."""
  _, params, pixels, tokens = block()
  order = jnp.array([2, 0, 3, 1])
  inner, outer = run(params, pixels, tokens)
  permuted, other = run(params, pixels[:, :, order], tokens)
  np.testing.assert_allclose(permuted, inner[:, :, order], atol=1e-5)
  assert abs(other - outer).max() > 1e-2


def test_pixels_hear_of_their_own_patch_alone():
  _, params, pixels, tokens = block()
  inner, _ = run(params, pixels, tokens)
  changed, _ = run(params, pixels.at[:, 2].add(1.0), tokens + 1)
  moved = abs(changed - inner).max(axis=(0, 2, 3)) > 0
  np.testing.assert_array_equal(moved, np.arange(PATCHES) == 2)


def test_the_class_token_hears_of_pixels_through_patches_alone():
  """With the outer attention's values at zero no token hears of another."""
  _, params, pixels, tokens = block()
  _, hearing = run(params, pixels, tokens)
  params = jax.tree.map(lambda leaf: leaf, params)
  qkv = params['outer']['attention']['qkv']
  qkv['kernel'] = qkv['kernel'].at[:, 2].set(0.0)
  _, deaf = run(params, pixels, tokens)
  _, moved = run(params, pixels + 1 + pixels**2, tokens)
  np.testing.assert_array_equal(moved[:, 0], deaf[:, 0])
  assert (abs(moved - deaf)[:, 1:].max(-1) > 1e-2).all()
  assert abs(hearing - deaf)[:, 0].max() > 1e-2


def test_inner_branches_are_dropped_patch_by_patch():
  layer, params, *_ = block()
  pixels, tokens = jnp.ones((1, 400, PIXELS, 8)), jnp.ones((1, 401, 16))
  rngs = {'dropout': jax.random.key(0)}

  @jax.jit
  def train(params):
    return layer.apply({'params': params}, (pixels, tokens), True, 0.5, rngs=rngs)[0]

  moved, _ = train(params)
  still = (abs(moved - pixels).max(axis=(0, 2, 3)) == 0).mean()
  assert 0.18 < still < 0.32  # both branches of a patch at once: a quarter
