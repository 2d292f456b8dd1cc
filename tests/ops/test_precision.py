"""Half precision is widened, and nothing is narrowed."""

import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.ops.precision import wide


@pytest.mark.parametrize(
  ('given', 'expected'),
  [('bfloat16', 'float32'), ('float16', 'float32'), ('float32', 'float32'), ('float64', 'float64')],
)
def test_at_least_float32(given, expected, x64):
  x = jnp.array([1.5, -2.25], given)
  assert wide(x).dtype == expected
  np.testing.assert_array_equal(wide(x), [1.5, -2.25])
