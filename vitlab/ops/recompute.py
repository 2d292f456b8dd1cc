"""What a backward pass computes a second time, so that nobody has to keep the first."""

from jaxtyping import Array, Float


def bound(x: Float[Array, '...'], gradient: Float[Array, '...']) -> Float[Array, '...']:
  """x itself, to a compiler unknown before the gradient is: what follows from x is computed again.

  XLA's CPU compiler drops optimization barriers. It then takes a second computation for the first,
  and keeps that one's result, or runs the second long before it is needed. 0 · gradient it cannot
  drop, for it might be NaN. Where the gradient is not finite x is NaN, and so is all that follows.

  Args:
    x: What the backward pass has kept.
    gradient: What it has just received, of a shape that broadcasts to that of x.
  """
  return x + 0 * gradient.astype(x.dtype)
