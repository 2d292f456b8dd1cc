"""What a generator draws its pictures from."""

import jax
from jaxtyping import Array, Float, Int


def noise(
  index: Int[Array, ' b'], width: int, seed: int = 0, truncation: float = 0.0
) -> Float[Array, 'b z']:
  """What samples are drawn from: normal, by the number of each alone.

  Args:
    index: A number for each sample.
    width: How many numbers one is drawn from.
    seed: Of all.
    truncation: The largest number, in size, that may occur; 0: any may.
  """

  def draw(index: Int[Array, '']) -> Float[Array, ' z']:
    key = jax.random.fold_in(jax.random.key(seed), index)
    if truncation:
      return jax.random.truncated_normal(key, -truncation, truncation, (width,))
    return jax.random.normal(key, (width,))

  return jax.vmap(draw)(index)
