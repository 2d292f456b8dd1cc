"""The largest values of windows, and who gets their gradient, pixel by pixel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.ops.max_pooling import max_pool


def brute_force(x, dy, size, stride, pads):
  """Values, and the gradient that each pixel gets of the windows whose first largest it is."""
  padded = np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=-np.inf)
  y, gradient = np.zeros_like(dy), np.zeros_like(padded)
  for b, row, column, c in np.ndindex(*dy.shape):
    rows, columns = (slice(n * stride, n * stride + size) for n in (row, column))
    window = b, rows, columns, c
    y[b, row, column, c] = padded[window].max()
    first = np.unravel_index(padded[window].argmax(), padded[window].shape)
    gradient[window][first] += dy[b, row, column, c]
  (above, _), (left, _) = pads
  return y, gradient[:, above : above + x.shape[1], left : left + x.shape[2]]


@pytest.mark.parametrize('ties', [False, True])
@pytest.mark.parametrize(
  ('size', 'stride', 'pads'),
  [
    (2, 2, ((0, 0), (0, 0))),
    (3, 2, ((1, 1), (1, 1))),
    (3, 2, ((0, 1), (1, 0))),
    (3, 1, ((1, 1), (1, 1))),
    (2, 3, ((0, 0), (1, 2))),
  ],
)
def test_values_and_gradients_are_those_of_the_windows(size, stride, pads, ties, x64):
  random = np.random.default_rng(0)
  x = random.normal(size=(2, 7, 8, 3))
  x = np.round(x) if ties else x
  pool = lambda x: max_pool(x, size, stride, pads)  # noqa: E731
  y, back = jax.vjp(pool, jnp.asarray(x))
  dy = random.normal(size=y.shape)
  expected = brute_force(x, dy, size, stride, pads)
  np.testing.assert_array_equal(y, expected[0])
  np.testing.assert_allclose(back(jnp.asarray(dy))[0], expected[1], atol=1e-12)


def test_it_can_be_differentiated_twice(x64):
  x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 4, 4, 2)))
  pool = lambda x: jnp.sin(max_pool(x, 2, 2, ((0, 0), (0, 0))))  # noqa: E731
  steep = lambda x: jnp.square(jax.grad(lambda x: pool(x).sum())(x)).sum()  # noqa: E731
  largest = np.asarray(x) == np.repeat(np.repeat(max_pool(x, 2, 2, ((0, 0), (0, 0))), 2, 1), 2, 2)
  expected = np.where(largest, -2 * np.sin(x) * np.cos(x), 0)
  np.testing.assert_allclose(jax.grad(steep)(x), expected, atol=1e-12)
