"""Operations on the values of pixels."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from vitlab.errors import UserError


def normalize(
  image: Float[Array, '*b h w c'], mean: Sequence[float], std: Sequence[float]
) -> Float[Array, '*b h w c']:
  """`(image - mean) / std` per channel.

  Raises:
    UserError: neither one value nor one per channel.
  """
  for name, values in (('mean', mean), ('std', std)):
    if len(values) not in (1, image.shape[-1]):
      raise UserError(
        f'{name} has {len(values)} values, but images have {image.shape[-1]} channels: '
        'give one value, or one per channel'
      )
  return (image - jnp.asarray(mean, image.dtype)) / jnp.asarray(std, image.dtype)
