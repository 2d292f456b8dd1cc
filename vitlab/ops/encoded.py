"""What an encoder sees of pictures of any size: the way from a generator to an evaluator.

Numbers of the quality of samples depend on the resizing more than on many a model (Parmar et al.
2022, arXiv:2104.11222): here it is that of clean-fid, for real pictures and for samples alike.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vitlab.errors import UserError
from vitlab.ops.color import normalize

LEVELS = 255


def for_encoder(
  image: Float[Array, 'b h w c'],
  image_size: tuple[int, int],
  mean: Sequence[float],
  std: Sequence[float],
  channels: int = 3,
) -> Float[Array, 'b y x d']:
  """Pictures as an encoder was trained on: 8 bits, its size, its channels, normalised.

  Args:
    image: In [0, 1]; what lies outside is cut off, and between two of the 256 levels rounded, as
      in the file that a published sample is.
    image_size: (height, width) of its pictures.
    mean: Of its pixels in [0, 1].
    std: Divided by.
    channels: That it sees: grey is repeated.

  Raises:
    UserError: pictures of colours, for an encoder of other channels.
  """
  if image.shape[-1] not in (1, channels):
    raise UserError(
      f'the encoder sees {channels} channels, the pictures have {image.shape[-1]}'
      '\ntake an encoder that was trained on such pictures'
    )
  seen = resize_bicubic(eight_bits(image), image_size)
  return normalize(jnp.broadcast_to(seen, (*seen.shape[:3], channels)), mean, std)


def eight_bits(image: Float[Array, 'b h w c']) -> Float[Array, 'b h w c']:
  """Pictures in [0, 1] as a file of bytes would hold them; those that are from one stay."""
  return jnp.round(jnp.clip(image, 0, 1) * LEVELS) / LEVELS


def resize_bicubic(
  image: Float[Array, 'b h w c'], size: tuple[int, int]
) -> Float[Array, 'b y x c']:
  """Pillow's antialiased bicubic of every channel in float32; cut off at 0 and 1, not rounded.

  Args:
    image: In [0, 1].
    size: (height, width).
  """
  if image.shape[1:3] == tuple(size):
    return image
  shape = (len(image), *size, image.shape[-1])
  return jnp.clip(jax.image.resize(image, shape, 'cubic', antialias=True), 0, 1)
