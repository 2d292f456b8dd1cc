"""Random omissions during training."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


def drop_path(
  x: Float[Array, 'b ...'], rate: Float[Array, ''] | float, key: Key[Array, '']
) -> Float[Array, 'b ...']:
  """Stochastic depth (Huang et al. 2016, arXiv:1603.09382): zeroes whole examples of a branch.

  What is kept is divided by 1 - rate, so that the expectation stays.
  """
  keep = jax.random.bernoulli(key, 1.0 - rate, (x.shape[0],) + (1,) * (x.ndim - 1))
  return jnp.where(keep, x / jnp.asarray(1.0 - rate, x.dtype), 0)
