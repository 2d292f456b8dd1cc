"""Matrix products whose gradients are fast on a CPU, too."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def matmul(
  x: Float[Array, '*b t s'], y: Float[Array, '*b s v'], dtype: Any = None
) -> Float[Array, '*b t v']:
  """x · y, summed and given in `dtype`; by default that of both.

  The gradient of y is a product with a transposed operand, which XLA:CPU runs slowly: one matrix at
  half speed, many small ones on one thread, ten times as long. So there it has a rule of its own,
  the same numbers. It rules out forward-mode differentiation (`jax.jvp`) on CPU; `jax.grad` of any
  order works.
  """
  if jax.default_backend() == 'cpu' and x.dtype == y.dtype and dtype in (None, x.dtype):
    return _matmul(x, y)
  return jnp.matmul(x, y, preferred_element_type=dtype)


@jax.custom_vjp
def _matmul(x, y):
  return x @ y


def _backward(residuals, dz):
  x, y = residuals
  # A left operand is read along its rows: of the two, the narrower is transposed. Where there are
  # many, this has to happen in memory; XLA would fold it into the product.
  keep = jax.lax.optimization_barrier if x.ndim > 2 else lambda array: array
  narrower = x.shape[-1] <= dz.shape[-1]
  dy = keep(x.mT) @ dz if narrower else (keep(dz.mT) @ x).mT
  return dz @ y.mT, dy


_matmul.defvjp(lambda x, y: (x @ y, (x, y)), _backward)
