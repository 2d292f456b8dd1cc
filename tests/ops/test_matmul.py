"""The product with fast gradients against NumPy's and jax's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.ops.matmul import matmul

SHAPES = [
  ((7, 3), (3, 5)),
  ((7, 5), (5, 3)),  # narrower than before: the other operand is transposed
  ((2, 3, 7, 3), (2, 3, 3, 5)),
  ((2, 3, 7, 5), (2, 3, 5, 3)),
]


def operands(shapes, dtype='float64'):
  rng = np.random.default_rng(0)
  return [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]


@pytest.mark.parametrize('shapes', SHAPES)
def test_equals_numpy(shapes, x64):
  x, y = operands(shapes)
  np.testing.assert_allclose(matmul(x, y), np.asarray(x) @ np.asarray(y), atol=1e-14)


@pytest.mark.parametrize('shapes', SHAPES)
def test_first_and_second_gradients_are_jax_s_own(shapes, x64):
  x, y = operands(shapes)

  def gradients(product):
    def first(x, y):
      return jax.grad(lambda *xy: jnp.sin(product(*xy)).sum(), argnums=(0, 1))(x, y)

    second = jax.grad(lambda *xy: sum(jnp.sin(g).sum() for g in first(*xy)), argnums=(0, 1))
    return first(x, y) + second(x, y)

  for a, b in zip(gradients(matmul), gradients(jnp.matmul)):
    np.testing.assert_allclose(a, b, atol=1e-13)


def test_half_precision_can_be_summed_in_single():
  x, y = operands(SHAPES[2], 'bfloat16')
  exact = np.asarray(x, np.float64) @ np.asarray(y, np.float64)
  np.testing.assert_allclose(matmul(x, y, jnp.float32), exact, rtol=1e-5, atol=1e-6)
  assert matmul(x, y).dtype == jnp.bfloat16
  gradient = jax.grad(lambda x: matmul(x, y, jnp.float32).sum())(x)
  np.testing.assert_allclose(gradient, np.broadcast_to(y.sum(-1)[..., None, :], x.shape), rtol=0.02)


@pytest.mark.parametrize('shapes', SHAPES)
def test_a_function_of_the_left_operand_is_computed_again(shapes, x64):
  x, y = operands(shapes)
  plain = lambda x, y: jnp.tanh(x) @ y  # noqa: E731
  ours = lambda x, y: matmul(x, y, before=jnp.tanh)  # noqa: E731

  def gradients(product):
    first = jax.grad(lambda *xy: jnp.sin(product(*xy)).sum(), argnums=(0, 1))
    second = jax.grad(lambda *xy: sum(jnp.sin(g).sum() for g in first(*xy)), argnums=(0, 1))
    return product(x, y), *first(x, y), *second(x, y)

  for a, b in zip(gradients(ours), gradients(plain), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-13)
  _, backward = jax.vjp(ours, x, y)
  assert sorted(leaf.shape for leaf in jax.tree.leaves(backward)) == sorted([x.shape, y.shape])
