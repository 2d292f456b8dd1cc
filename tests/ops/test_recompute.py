"""What is bound to a gradient is computed again: same numbers, and the first need not be kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.layers import norms
from vitlab.layers.mlp import make_mlp
from vitlab.ops import activations, matmul, normalisation, recompute

DEPTH, ROWS, WIDTH = 4, 512, 32
HIDDEN = ROWS * 4 * WIDTH * 4  # bytes of the widest array of an MLP
USERS = (activations, matmul, normalisation)


def test_changes_no_number_but_passes_on_one_that_is_not_finite():
  x = jnp.array([0.1, -2.0, 3e38])
  np.testing.assert_array_equal(recompute.bound(x, jnp.float32(7)), x)
  assert np.isnan(recompute.bound(x, jnp.float32(np.inf))).all()
  assert recompute.bound(x.astype('bfloat16'), x).dtype == jnp.bfloat16


def compiled_gradient():
  """Of a few blocks x + mlp(norm(x)): compiled, and its answer."""
  norm, mlp = norms.make_norm('layernorm', 1e-6), make_mlp('gelu', 4 * WIDTH)
  x = jax.random.normal(jax.random.key(0), (ROWS, WIDTH))
  params = [(norm.init(jax.random.key(i), x), mlp.init(jax.random.key(i), x)) for i in range(DEPTH)]

  def loss(params, x):
    for one, other in params:
      x = x + mlp.apply(other, norm.apply(one, x))
    return jnp.sin(x).sum()

  compiled = jax.jit(jax.grad(loss)).lower(params, x).compile()
  return compiled.memory_analysis().temp_size_in_bytes, compiled(params, x)


def test_of_an_mlp_one_hidden_array_is_kept_and_of_a_norm_its_input(monkeypatch):
  bytes_bound, gradient = compiled_gradient()
  for module in USERS:
    monkeypatch.setattr(module, 'bound', lambda x, gradient: x)
  bytes_free, same = compiled_gradient()
  # Unbound a block keeps what GELU gave, erf of it, and what is centred of its input.
  assert bytes_free - bytes_bound > 1.5 * DEPTH * HIDDEN
  assert bytes_bound < 2.5 * DEPTH * HIDDEN
  for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(same), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def chain(wrap):
  """Layers of attention one after the other: compiled memory, FLOPs, gradient; reads one output."""

  def layer(x, kernel, keys, rate):
    y = x @ kernel
    weights = jax.nn.softmax(y @ y.T)
    kept = jax.random.bernoulli(keys['drop'], 1 - rate, y.shape)
    return x + jnp.where(kept, weights @ y, 0), dict(unread=weights @ weights)

  one = wrap(layer)
  x, *kernels = jax.random.normal(jax.random.key(0), (1 + DEPTH, WIDTH, WIDTH))

  def loss(kernels, x):
    for i, kernel in enumerate(kernels):
      x, _ = one(jnp.tile(x, (8, 1)) if i == 0 else x, kernel, {'drop': jax.random.key(i)}, 0.1)
    return jnp.sin(x).sum()

  compiled = jax.jit(jax.grad(loss, (0, 1))).lower(kernels, x).compile()
  flops = compiled.cost_analysis()['flops']
  return compiled.memory_analysis().temp_size_in_bytes, flops, compiled(kernels, x)


@pytest.mark.parametrize(('policy', 'share'), [('nothing_saveable', 0.6), ('dots_saveable', 0.9)])
def test_a_checkpoint_acts_on_a_cpu_without_a_loop(policy, share):
  policy = getattr(jax.checkpoint_policies, policy)
  plain, flops, expected = chain(lambda layer: layer)
  light, more_flops, gradient = chain(lambda layer: recompute.checkpoint(layer, policy))
  assert light < share * plain
  assert more_flops < 1.3 * flops  # of what nobody reads there is no gradient
  for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
