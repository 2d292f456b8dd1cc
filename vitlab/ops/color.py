"""Operations on the values of pixels: float images in [0, 1], one strength per example.

Their meaning is that of Pillow's ImageOps and ImageEnhance, on which AutoAugment and RandAugment
are defined. Any number of channels; with three, grey is the luma of ITU-R 601-2, else the mean.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from vitlab.errors import UserError

Image = Float[Array, 'b h w c']
Strength = Float[Array, ' b']
Valid = Bool[Array, 'b h w 1']  # what of an image is no padding

LUMA = (0.299, 0.587, 0.114)


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


def grayscale(image: Image) -> Image:
  """The luma, in every channel."""
  if image.shape[-1] == 3:
    grey = jnp.sum(image * jnp.asarray(LUMA), axis=-1, keepdims=True)
  else:
    grey = jnp.mean(image, axis=-1, keepdims=True)
  return jnp.broadcast_to(grey, image.shape)


def mean_grey(image: Image, valid: Valid | None = None) -> Image:
  """One grey for the whole image, the mean of its luma, where it is `valid`."""
  where = None if valid is None else jnp.broadcast_to(valid, image.shape)
  mean = jnp.mean(grayscale(image), axis=(1, 2), keepdims=True, where=where)
  return jnp.broadcast_to(mean, image.shape)


def smooth(image: Image) -> Image:
  """Pillow's SMOOTH, 5/13 of a pixel and 1/13 of its neighbours; the outermost ones stay."""
  if min(image.shape[1:3]) < 3:
    return image
  total = jax.lax.reduce_window(image, 0.0, jax.lax.add, (1, 3, 3, 1), (1, 1, 1, 1), 'valid')
  inner = (total + 4.0 * image[:, 1:-1, 1:-1]) / 13.0
  return image.at[:, 1:-1, 1:-1].set(inner)


def blend(image: Image, other: Image, factor: Strength) -> Image:
  """`other + factor (image - other)`, clipped: 1 changes nothing, more moves away from `other`."""
  factor = factor[:, None, None, None]
  return jnp.clip(factor * image + (1.0 - factor) * other, 0.0, 1.0)


def brightness(image: Image, factor: Strength) -> Image:
  """Away from black."""
  return blend(image, jnp.zeros_like(image), factor)


def contrast(image: Image, factor: Strength, valid: Valid | None = None) -> Image:
  """Away from the image's mean grey."""
  return blend(image, mean_grey(image, valid), factor)


def saturation(image: Image, factor: Strength) -> Image:
  """Away from its grey version; 'Color' in AutoAugment."""
  return blend(image, grayscale(image), factor)


def sharpness(image: Image, factor: Strength) -> Image:
  """Away from its smoothed version."""
  return blend(image, smooth(image), factor)


def solarize(image: Image, threshold: Strength) -> Image:
  """Inverts the pixels from the threshold on."""
  return jnp.where(image < threshold[:, None, None, None], image, 1.0 - image)


def posterize(image: Image, bits: Strength) -> Image:
  """Keeps the highest of the 8 bits of a pixel."""
  step = jnp.exp2(8.0 - jnp.round(bits))[:, None, None, None]
  return jnp.floor(jnp.round(255.0 * image) / step) * step / 255.0


def autocontrast(image: Image) -> Image:
  """Stretches each channel to [0, 1]; a constant channel stays."""
  low = image.min(axis=(1, 2), keepdims=True)
  span = image.max(axis=(1, 2), keepdims=True) - low
  return jnp.where(span > 0, (image - low) / jnp.where(span > 0, span, 1.0), image)


def equalize(image: Image) -> Image:
  """Makes the histogram of 256 values of each channel flat, as far as whole numbers allow."""
  b, h, w, c = image.shape
  level = jnp.round(255.0 * image).astype(jnp.int32).reshape(b, h * w, c)
  table = jax.vmap(jax.vmap(_equalizing_table, in_axes=-1, out_axes=-1))(level)
  return jnp.take_along_axis(table, level, axis=1).reshape(b, h, w, c) / 255.0


def _equalizing_table(level):
  """New value for each of 256 levels, of one channel: the integer arithmetic of Pillow."""
  count = jnp.bincount(level, length=256)
  last = count[jnp.max(level)]
  step = (level.size - last) // 255
  below = jnp.cumsum(count) - count
  flat = jnp.minimum((step // 2 + below) // jnp.maximum(step, 1), 255)
  return jnp.where(step > 0, flat, jnp.arange(256)).astype(jnp.float32)


def gaussian_blur(image: Image, sigma: Strength) -> Image:
  """A Gaussian of `sigma` pixels; at the border, its weights within the image sum to one."""

  def weights(size: int) -> Float[Array, 'b to from']:
    offset = jnp.arange(size)[:, None] - jnp.arange(size)
    return jax.nn.softmax(-0.5 * jnp.square(offset / sigma[:, None, None]))

  _, h, w, _ = image.shape
  blurred = jnp.einsum('byh,bhwc->bywc', weights(h), image, precision='highest')
  return jnp.einsum('bxw,bywc->byxc', weights(w), blurred, precision='highest')


def shift_hsv(image: Image, hue: Strength, saturation: Strength, value: Strength) -> Image:
  """Adds to hue (a share of the circle), saturation and value; the latter two stay in [0, 1].

  Smith 1978, 'Color gamut transform pairs'. Without three channels, the brightness is the value.
  """
  hue, saturation, value = (x[:, None, None] for x in (hue, saturation, value))
  top = image.max(axis=-1)
  new_top = jnp.clip(top + value, 0.0, 1.0)
  if image.shape[-1] != 3:
    return jnp.clip(image + value[..., None], 0.0, 1.0)
  span = top - image.min(axis=-1)
  share = jnp.clip(span / jnp.where(top > 0, top, 1.0) + saturation, 0.0, 1.0)
  angle = _hue(image, top, span) + 6.0 * hue
  # Each channel is a trapezium over the circle of six sides, a third of it apart.
  place = jnp.mod(jnp.array([5.0, 3.0, 1.0]) + angle[..., None], 6.0)
  slope = jnp.clip(jnp.minimum(place, 4.0 - place), 0.0, 1.0)
  return new_top[..., None] * (1.0 - share[..., None] * slope)


def _hue(image, top, span):
  """In [0, 6): 0 is red, 2 green, 4 blue; of a grey, 0."""
  red, green, blue = jnp.moveaxis(image, -1, 0)
  numerator = jnp.select([top == red, top == green], [green - blue, blue - red], red - green)
  corner = jnp.select([top == red, top == green], [0.0, 2.0], 4.0)
  return jnp.where(span > 0, jnp.mod(corner + numerator / jnp.where(span > 0, span, 1.0), 6.0), 0.0)
