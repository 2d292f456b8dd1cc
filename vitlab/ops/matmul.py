"""Matrix products whose gradients are fast on a CPU, too."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vitlab.ops.recompute import bound


def matmul(
  x: Float[Array, '*b t s'],
  y: Float[Array, '*b s v'],
  dtype: Any = None,
  before: Callable[[Array], Array] | None = None,
) -> Float[Array, '*b t v']:
  """before(x) · y, summed and given in `dtype`; by default that of both.

  The gradient of y is a product with a transposed operand, which XLA:CPU runs slowly: one matrix at
  half speed, many small ones on one thread, ten times as long. So there it has a rule of its own,
  the same numbers. It rules out forward-mode differentiation (`jax.jvp`) on CPU; `jax.grad` of any
  order works.

  Args:
    x: The left operand.
    y: The right one.
    dtype: Of the result.
    before: Elementwise function of x, closed over no array; None: x itself. The gradient on a CPU
      computes it again, so that x is all that is kept of the two.
  """
  if jax.default_backend() == 'cpu' and x.dtype == y.dtype and dtype in (None, x.dtype):
    return _matmul(x, y) if before is None else _matmul_of(before, x, y)
  return jnp.matmul(x if before is None else before(x), y, preferred_element_type=dtype)


@jax.custom_vjp
def _matmul(x, y):
  return x @ y


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _matmul_of(before, x, y):
  return before(x) @ y


def _backward_of(before, residuals, dz):
  x, y = residuals
  # One number of each row is enough to bind it.
  left, back = jax.vjp(before, bound(x, dz[..., :1]))
  dleft, dy = _backward((left, y), dz)
  return *back(dleft), dy


def _backward(residuals, dz):
  x, y = residuals
  # A left operand is read along its rows: of the two, the narrower is transposed. Where there are
  # many, this has to happen in memory; XLA would fold it into the product.
  keep = jax.lax.optimization_barrier if x.ndim > 2 else lambda array: array
  narrower = x.shape[-1] <= dz.shape[-1]
  dy = keep(x.mT) @ dz if narrower else (keep(dz.mT) @ x).mT
  if dz.ndim == 2 and jax.sharding.get_abstract_mesh().size <= 1:
    # A transposed kernel is a copy: not of all layers before the first is needed. (Over many
    # devices the one number that binds it would have to be sent.)
    y = bound(y, dz[:1, :1])
  return dz @ y.mT, dy


_matmul.defvjp(lambda x, y: (x @ y, (x, y)), _backward)
_matmul_of.defvjp(lambda before, x, y: (before(x) @ y, (x, y)), _backward_of)
