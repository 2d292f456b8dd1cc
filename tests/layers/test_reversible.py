"""Reversible layers: gradients of plain ones, and memory that does not grow with depth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.layers import reversible
from vitlab.layers.lsh_attention import LocalAttention, LSHAttention
from vitlab.layers.mlp import make_mlp
from vitlab.layers.norms import make_norm
from vitlab.layers.reversible import ReversibleBlock, ReversibleStack

B, T, D = 2, 16, 16
SEGMENTS = jnp.array([[1] * 10 + [2] * 6, [1] * 13 + [0] * 3])
random = np.random.default_rng(0)
X, WEIGHTS = random.normal(size=(B, T, D)), random.normal(size=(B, T, 2 * D))


def stack(backward='reversible', depth=3, dtype=jnp.float64, rate=0.2, **words):
  norm = make_norm('layernorm', 1e-12, dtype)
  options = dict(num_heads=2, head_dim=8, causal=True, dtype=dtype)
  kinds = (LSHAttention(chunk=4, num_hashes=2, **options), LocalAttention(chunk=4, **options))
  mlp = make_mlp('relu', 32, rate, dtype=dtype)
  blocks = tuple(ReversibleBlock(kind, mlp, norm, rate) for kind in kinds)
  return ReversibleStack(blocks, depth, backward, **words)


def variables_of(layer, dtype=jnp.float64):
  tree = jax.eval_shape(layer.init, jax.random.key(0), X)
  random = np.random.default_rng(0)
  return jax.tree.map(lambda x: jnp.asarray(random.normal(0, 0.3, x.shape), dtype), tree)


def gradients(layer, seed=0):
  """Of the parameters and of the tokens, with dropout and rotations that are drawn."""

  def loss(variables, x):
    rngs = {'dropout': jax.random.key(seed)}
    y, seen = layer.apply(variables, x, True, SEGMENTS, rngs=rngs)
    assert seen == []
    return (y * WEIGHTS).sum()

  return jax.jit(jax.grad(loss, (0, 1)))(variables_of(layer), jnp.asarray(X))


def error(found, wanted):
  differences = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), found, wanted)
  return max(jax.tree.leaves(differences))


@pytest.fixture(scope='module')
def wanted():
  with jax.enable_x64(True):
    return gradients(stack('plain'))


@pytest.mark.parametrize('backward', ['reversible', 'remat'])
def test_gradients_are_those_of_plain_layers(backward, wanted, x64):
  """With dropout, two rounds of hashing, and a depth that its kinds do not divide."""
  assert error(gradients(stack(backward)), wanted) < 1e-9
  assert min(np.abs(leaf).max() for leaf in jax.tree.leaves(wanted)) > 1e-3
  assert error(gradients(stack(backward), seed=1), wanted) > 1e-2


def with_another(change):
  """The backward pass of layers that are given something else than the forward pass was."""

  def backward(layers, params, given, buckets, y, dy):
    return original(layers, params, *change(given, buckets), y, dy)

  original = reversible.backward
  return backward


MISTAKES = {
  'other keys': lambda given, buckets: (
    [dict(g, key=jax.random.fold_in(g['key'], 1)) for g in given],
    buckets,
  ),
  'other buckets': lambda given, buckets: (
    given,
    [b if b is None else jnp.roll(b, 1, axis=-1) for b in buckets],
  ),
  'no segments': lambda given, buckets: ([dict(g, segments=None) for g in given], buckets),
}


@pytest.mark.parametrize('mistake', MISTAKES)
def test_what_the_forward_pass_had_is_needed(mistake, wanted, monkeypatch, x64):
  monkeypatch.setattr(reversible, 'backward', with_another(MISTAKES[mistake]))
  assert error(gradients(stack()), wanted) > 1e-3


def test_the_input_is_found_again(x64):
  """What the backward pass goes through are the inputs of all layers."""
  layer = stack(depth=1, rate=0.0)
  variables, x = variables_of(layer), jnp.asarray(X)
  found = []

  def spied(*args):
    y, dy, grads = original(*args)
    jax.debug.callback(lambda x1, x2: found.append((x1, x2)), *y)
    return y, dy, grads

  original = reversible.backward
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(reversible, 'backward', spied)
    rngs = {'dropout': jax.random.key(0)}
    loss = lambda v: (layer.apply(v, x, True, rngs=rngs)[0] * WEIGHTS).sum()  # noqa: E731
    jax.block_until_ready(jax.jit(jax.grad(loss))(variables))
  jax.effects_barrier()
  for half in found[-1]:
    np.testing.assert_allclose(half, X, atol=1e-12)


def test_chunks_of_the_feed_forward_layer_change_nothing(x64):
  whole, parts = stack(depth=1), stack(depth=1, mlp_chunk=4)
  variables, x = variables_of(whole), jnp.asarray(X)
  found, wanted = (jax.jit(layer.apply)(variables, x)[0] for layer in (parts, whole))
  np.testing.assert_allclose(found, wanted, atol=1e-12)
  # In training their dropout is another one, and the same in both passes.
  assert error(gradients(parts), gradients(parts.clone(backward='plain'))) < 1e-9


def temporary(backward, depth, length=512):
  """Bytes that a gradient needs beside parameters, gradients and tokens."""
  layer = stack(backward, depth, jnp.float32)
  layer = layer.clone(blocks=layer.blocks[:1])
  x = jax.ShapeDtypeStruct((B, length, D), jnp.float32)
  variables = jax.eval_shape(layer.init, jax.random.key(0), x)

  def loss(variables, x):
    return layer.apply(variables, x, True, rngs={'dropout': jax.random.key(0)})[0].sum()

  return jax.jit(jax.grad(loss)).lower(variables, x).compile().memory_analysis().temp_size_in_bytes


def test_twenty_four_layers_need_the_memory_of_four():
  assert temporary('reversible', 24) < 1.3 * temporary('reversible', 4)
  assert temporary('plain', 24) > 4 * temporary('reversible', 24)


def test_what_layers_have_seen_is_there_outside_of_training():
  layer = stack(dtype=jnp.float32)
  variables = variables_of(layer, jnp.float32)
  y, seen = jax.jit(layer.apply)(variables, jnp.asarray(X, jnp.float32), segments=SEGMENTS)
  assert y.shape == (B, T, 2 * D) and len(seen) == 3
  for out in seen:
    np.testing.assert_allclose(out['attention'][0].sum(-1), 1, rtol=1e-5)
  assert seen[0]['buckets'].shape == seen[2]['buckets'].shape == (B, 2, 2, T)
