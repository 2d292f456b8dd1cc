"""Convolutions and their gradients of every order against those that jax writes."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.ops import convolution as ops

# stride, pads, dilation: odd sides, places that no kernel reaches, pads that differ.
GEOMETRIES = [
  (1, ((1, 1), (1, 1)), 1),
  (2, ((1, 1), (1, 1)), 1),
  (2, ((0, 1), (1, 2)), 1),
  (3, ((0, 0), (2, 0)), 1),
  (1, ((2, 2), (2, 2)), 2),
  (2, ((2, 1), (0, 3)), 2),
]


def operands(rows, size=(3, 2)):
  random = np.random.default_rng(0)
  x, kernel = random.normal(size=(rows, 9, 8, 3)), random.normal(size=(*size, 3, 4))
  return jnp.asarray(x), jnp.asarray(kernel)


def answers(convolve, x, kernel):
  """The result, its gradients, and the gradients of their length, as R1 wants them."""
  value = lambda *xs: jnp.sin(convolve(*xs)).sum()  # noqa: E731
  steep = lambda *xs: sum(jnp.square(g).sum() for g in jax.grad(value, (0, 1))(*xs))  # noqa: E731
  return convolve(x, kernel), jax.grad(value, (0, 1))(x, kernel), jax.grad(steep, (0, 1))(x, kernel)


@pytest.mark.parametrize('rows', [1, 8, 19])
@pytest.mark.parametrize(('stride', 'pads', 'dilation'), GEOMETRIES)
def test_results_and_gradients_are_those_of_jax(rows, stride, pads, dilation, x64, monkeypatch):
  monkeypatch.setattr(ops, 'ROWS', 4)
  x, kernel = operands(rows)
  ours = functools.partial(ops.convolution, stride=stride, pads=pads, dilation=dilation)
  plain = functools.partial(
    jax.lax.conv_general_dilated,
    window_strides=(stride, stride),
    padding=pads,
    rhs_dilation=(dilation, dilation),
    dimension_numbers=ops.AXES,
  )
  found, expected = (answers(convolve, x, kernel) for convolve in (ours, plain))
  for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


def test_groups_are_those_of_jax(x64):
  random = np.random.default_rng(0)
  x, kernel = random.normal(size=(2, 5, 5, 4)), random.normal(size=(3, 3, 2, 6))
  found = ops.convolution(jnp.asarray(x), jnp.asarray(kernel), groups=2)
  halves = [
    ops.convolution(jnp.asarray(x[..., half]), jnp.asarray(kernel[..., out]))
    for half, out in [(slice(2), slice(3)), (slice(2, 4), slice(3, 6))]
  ]
  np.testing.assert_allclose(found, jnp.concatenate(halves, -1), atol=1e-12)


def test_inside_a_loop_gradients_have_the_order_in_which_xla_is_fast():
  """Any other it computes by plain loops there, on a CPU."""
  x, kernel = jnp.ones((2, 16, 8, 8, 4), jnp.float32), jnp.ones((3, 3, 4, 4), jnp.float32)
  value = lambda x, kernel: jnp.sin(ops.convolution(x, kernel)).sum()  # noqa: E731
  loop = lambda x, kernel: jax.lax.map(lambda x: jax.grad(value, (0, 1))(x, kernel), x)  # noqa: E731
  text = jax.jit(loop).lower(x, kernel).compile().as_text()
  orders = re.findall(r' convolution\(.*dim_labels=([^,]*)', text)
  assert ' while(' in text and set(orders) == {'b01f_01io->b01f'}


def test_the_long_sum_of_16_bit_gradients_is_taken_in_float32():
  x, kernel = jnp.ones((512, 7, 7, 1), jnp.bfloat16), jnp.ones((3, 3, 1, 1), jnp.bfloat16)
  gradient = jax.grad(lambda kernel: ops.convolution(x, kernel).sum())(kernel)
  assert gradient.dtype == jnp.bfloat16 and (gradient == 512 * 25).all()
