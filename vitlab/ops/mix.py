"""Augmentations that mix examples with one another.

The partner of an example is its neighbour (0 with 1, 2 with 3, ...; the last of an odd batch is
its own): as random as any pairing of a shuffled batch, and no device needs another one's images.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

Key = Shaped[Array, '']


def partners(x: Shaped[Array, 'b ...']) -> Shaped[Array, 'b ...']:
  """Each row replaced by its partner's."""
  even = x.shape[0] // 2 * 2
  pairs = x[:even].reshape(even // 2, 2, *x.shape[1:])
  swapped = pairs[:, ::-1].reshape(even, *x.shape[1:])
  return swapped if even == x.shape[0] else jnp.concatenate([swapped, x[even:]])


def mixup(
  key: Key,
  image: Float[Array, 'b h w c'],
  target: Float[Array, 'b classes'],
  alpha: float = 0.2,
) -> tuple[Float[Array, 'b h w c'], Float[Array, 'b classes']]:
  """`l x + (1 - l) x'` of image and target alike, l ~ Beta(alpha, alpha) for each example.

  Zhang et al. 2017 (arXiv:1710.09412), equation 1.
  """
  keep = jax.random.beta(key, alpha, alpha, (image.shape[0],))
  return _blend(image, keep[:, None, None, None]), _blend(target, keep[:, None])


def _blend(x, keep):
  return keep * x + (1.0 - keep) * partners(x)
