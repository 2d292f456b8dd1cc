"""The exact GELU: its formula, its derivatives, what it remembers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

from vitlab.ops.activations import gelu

X = np.linspace(-9, 9, 181)


def formula(x):
  return x * (1 + erf(x / np.sqrt(2))) / 2


def test_is_its_formula(x64):
  np.testing.assert_allclose(gelu(jnp.asarray(X)), formula(X), atol=1e-15)


def test_derivatives_are_those_of_the_formula(x64):
  """The second one as well: the rule of the first can be differentiated."""
  exact = lambda x: x * (1 + jax.scipy.special.erf(x / jnp.sqrt(2.0))) / 2  # noqa: E731
  first, second = (jax.vmap(jax.grad(f)) for f in (gelu, jax.grad(gelu)))
  exact_first, exact_second = (jax.vmap(jax.grad(f)) for f in (exact, jax.grad(exact)))
  np.testing.assert_allclose(first(jnp.asarray(X)), exact_first(jnp.asarray(X)), atol=1e-14)
  np.testing.assert_allclose(second(jnp.asarray(X)), exact_second(jnp.asarray(X)), atol=1e-14)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_rounds_only_what_comes_out(dtype):
  x = jnp.asarray(X, dtype)
  y, gradient = jax.vmap(jax.value_and_grad(gelu))(x)
  assert y.dtype == gradient.dtype == x.dtype
  error = np.abs(np.asarray(y, np.float64) - formula(np.asarray(x, np.float64)))
  assert error.max() < 9 * float(jnp.finfo(dtype).eps)


def test_large_numbers_pass_or_vanish():
  x = jnp.array([-1e30, 0.0, 1e30])
  y, gradient = jax.vmap(jax.value_and_grad(gelu))(x)
  np.testing.assert_array_equal(y, [0, 0, np.float32(1e30)])
  np.testing.assert_array_equal(gradient, [0, 0.5, 1])


def test_remembers_its_input_alone():
  _, backward = jax.vjp(gelu, jnp.ones(7))
  assert [leaf.shape for leaf in jax.tree.leaves(backward)] == [(7,)]
