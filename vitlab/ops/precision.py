"""In which precision something is computed."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def wide(x: Float[Array, '...']) -> Float[Array, '...']:
  """x in at least float32, whatever it is stored in: float64 stays."""
  return x.astype(jnp.promote_types(x.dtype, jnp.float32))
