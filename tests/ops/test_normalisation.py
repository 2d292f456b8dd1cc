"""Normalisation with a gradient of its own against the formula; all of it is in test_norms.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.ops.normalisation import normalise

NUMBERS = np.random.default_rng(0)
X, SCALE, BIAS = NUMBERS.normal(3, 2, (4, 5, 6)), *NUMBERS.normal(1, 0.5, (2, 6))


def formula(x, scale, bias, axes, epsilon):
  mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
  return (x - mean) / jnp.sqrt(variance + epsilon) * scale + bias


@pytest.mark.parametrize('axes', [-1, (0, 1), (1, 2)])
def test_first_and_second_gradients_are_those_of_the_formula(axes, x64):
  operands = [jnp.asarray(array) for array in (X, SCALE, BIAS)]

  def gradients(function):
    value = lambda *xs: jnp.sin(function(*xs, axes, 0.1)).sum()  # noqa: E731
    first = jax.grad(value, (0, 1, 2))
    second = jax.grad(lambda *xs: sum(jnp.sin(g).sum() for g in first(*xs)), (0, 1, 2))
    return value(*operands), *first(*operands), *second(*operands)

  ours = gradients(lambda *xs: normalise(*xs)[0])
  for a, b in zip(ours, gradients(formula), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-10)


def test_the_gradient_keeps_x_as_it_came_and_nothing_else_of_its_size():
  x, scale = jnp.asarray(X, jnp.bfloat16), jnp.asarray(SCALE, jnp.float32)
  _, backward = jax.vjp(lambda *xs: normalise(*xs, -1, 0.1)[0], x, scale, scale)
  kept = [(leaf.shape, leaf.dtype.name) for leaf in jax.tree.leaves(backward)]
  assert [entry for entry in kept if entry[0] == x.shape] == [(x.shape, 'bfloat16')]
  dx, dscale, _ = backward(jnp.ones(x.shape))
  assert (dx.dtype.name, dscale.dtype.name) == ('bfloat16', 'float32')


def test_mean_and_variance_have_no_gradient(x64):
  statistics = lambda x: sum(y.sum() for y in normalise(x, SCALE, BIAS, -1, 0.1)[1:])  # noqa: E731
  np.testing.assert_array_equal(jax.grad(statistics)(jnp.asarray(X)), 0)
