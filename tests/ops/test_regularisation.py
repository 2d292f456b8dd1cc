"""Drop-path: whole examples, the right fraction, the same expectation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.ops.regularisation import drop_path


@pytest.mark.parametrize('rate', [0.0, 0.25, 0.9])
def test_examples_are_dropped_whole_and_the_rest_scaled(rate):
  x = jax.random.normal(jax.random.key(0), (4000, 2, 3)) + 10
  y = np.asarray(drop_path(x, rate, jax.random.key(1)))
  kept = (y != 0).all((1, 2))
  assert ((y == 0).all((1, 2)) == ~kept).all()
  np.testing.assert_allclose(y[kept], x[kept] / (1 - rate), rtol=1e-6)
  assert abs(kept.mean() - (1 - rate)) < 0.03  # four standard deviations


def test_it_keeps_16_bits_and_is_a_function_of_its_key():
  x = jnp.ones((64, 1), jnp.bfloat16)
  a, b, c = (drop_path(x, 0.5, jax.random.key(i)) for i in (0, 0, 1))
  assert a.dtype == jnp.bfloat16
  np.testing.assert_array_equal(a, b)
  assert (a != c).any()
