"""The matmul layer: its definition, its own gradient rule, its initial spread."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.layers.dense import Dense, contract, fan_init

SHAPES = [  # x, kernel, contracted axes
  ((2, 3, 4), (4, 5), 1),
  ((2, 3, 6), (6, 3, 2, 2), 1),
  ((2, 3, 2, 4), (2, 4, 5), 2),
  ((2, 2, 2, 2, 2, 3), (2, 2, 3, 4), 3),
  ((7, 9), (9, 2), 1),  # more in than out: the other orientation
]


@pytest.mark.parametrize(('x', 'kernel', 'axes'), SHAPES)
def test_contract_is_tensordot(x, kernel, axes, x64):
  x, kernel = (np.random.default_rng(0).normal(size=shape) for shape in (x, kernel))
  got = contract(jnp.asarray(x), jnp.asarray(kernel), axes)
  np.testing.assert_allclose(got, np.tensordot(x, kernel, axes), atol=1e-13)


@pytest.mark.parametrize(('x', 'kernel', 'axes'), SHAPES)
def test_the_gradient_rule_of_the_cpu_is_jax_s_own(x, kernel, axes, x64):
  x, kernel = (jnp.asarray(np.random.default_rng(0).normal(size=s)) for s in (x, kernel))

  def gradients(function):
    return jax.grad(lambda *xs: jnp.sin(function(*xs, axes)).sum(), argnums=(0, 1))(x, kernel)

  for a, b in zip(gradients(contract), gradients(jnp.tensordot)):
    np.testing.assert_allclose(a, b, atol=1e-13)


def test_products_of_half_precision_need_not_be_rounded():
  x, kernel = (np.random.default_rng(0).normal(size=s) for s in ((5, 9), (9, 4)))
  x, kernel = (jnp.asarray(array, jnp.bfloat16) for array in (x, kernel))
  got = contract(x, kernel, dtype=jnp.float32)
  exact = np.asarray(x, np.float64) @ np.asarray(kernel, np.float64)
  np.testing.assert_allclose(got, exact, rtol=1e-5, atol=1e-6)


def test_only_the_cpu_has_the_rule(monkeypatch):
  def text():
    # a new function, or jax answers from its cache of traces
    return str(jax.make_jaxpr(lambda *xs: contract(*xs))(jnp.ones((2, 3)), jnp.ones((3, 4))))

  assert 'custom_vjp' in text()
  monkeypatch.setattr(jax, 'default_backend', lambda: 'tpu')
  assert 'custom_vjp' not in text()


def test_parameters_keep_their_axes_and_stay_float32():
  x = jnp.ones((2, 5, 6), jnp.bfloat16)
  variables = Dense((3, 2, 4), dtype=jnp.bfloat16).init(jax.random.key(0), x)
  shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype.name), variables['params'])
  assert shapes == {'kernel': ((6, 3, 2, 4), 'float32'), 'bias': ((3, 2, 4), 'float32')}
  y = Dense((3, 2, 4), dtype=jnp.bfloat16).apply(variables, x)
  assert (y.shape, y.dtype) == ((2, 5, 3, 2, 4), jnp.bfloat16)


@pytest.mark.parametrize(
  ('init', 'shape', 'variance'),
  [
    (fan_init('fan_in', 'truncated_normal'), (64, 256), 1 / 64),
    (fan_init('fan_in', 'truncated_normal', 3), (4, 4, 4, 256), 1 / 64),
    (fan_init('fan_avg', 'uniform'), (64, 256), 2 / (64 + 256)),
    # each of q, k, v as if it stood alone
    (fan_init('fan_avg', 'uniform', groups=1), (64, 3, 4, 16), 2 / (64 + 64)),
    (fan_init('fan_avg', 'uniform', axes=2), (4, 16, 64), 2 / (64 + 64)),
  ],
)
def test_initial_variance(init, shape, variance):
  kernel = init(jax.random.key(0), shape)
  assert kernel.shape == shape
  assert abs(kernel.mean()) < 0.01
  np.testing.assert_allclose(kernel.var(), variance, rtol=0.05)
