"""DiffAugment: a GAN of little data (Zhao et al. 2020, arXiv:2006.10738).

The discriminator sees no picture, real or fake, but through these maps, and the generator learns
through them: all have a gradient. A policy is a string such as `'color|translation|cutout'`, read
as in `vitlab.ops.augment`; an operation is a pure function of (key, image in [-1, 1] `b h w c`).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from vitlab.ops import geometry, pipelines

Key = Shaped[Array, '']
Image = Float[Array, 'b h w c']


def color(key: Key, image: Image) -> Image:
  """Brightness, saturation and contrast, in this order; nothing is clipped."""
  draw = jax.random.uniform(key, (3, image.shape[0], 1, 1, 1))
  image = image + (draw[0] - 0.5)
  image = _from_mean(image, 2 * draw[1], (3,))
  return _from_mean(image, draw[2] + 0.5, (1, 2, 3))


def translation(key: Key, image: Image, translate: float = 0.125) -> Image:
  """Moves by whole pixels, up to `translate` of height and width; what comes in is 0, grey."""
  b, h, w, _ = image.shape
  y, x = _pixels(h, translate), _pixels(w, translate)
  padded = jnp.pad(image, ((0, 0), (y, y), (x, x), (0, 0)))
  corner = jax.random.randint(key, (b, 2), 0, 2 * jnp.array([y, x]) + 1)
  return geometry.cut(padded, corner, (h, w))


def cutout(key: Key, image: Image, side: float = 0.5) -> Image:
  """Sets a box of `side` of height and width to 0, grey; its middle lies anywhere."""
  b, *size, _ = image.shape
  keys = jax.random.split(key)
  rows, columns = (_covered(k, b, n, _pixels(n, side)) for k, n in zip(keys, size, strict=True))
  return jnp.where((rows[:, :, None] & columns[:, None, :])[..., None], 0, image)


OPERATIONS: dict[str, Callable[..., Image]] = {
  function.__name__: function for function in (color, translation, cutout)
}


def compile(policy: str) -> Callable[[Key, Image], Image]:
  """Reads a policy; the empty string changes nothing.

  Raises:
    UserError: as `vitlab.ops.pipelines.read`.
  """
  stages = pipelines.read(policy, OPERATIONS)

  def augment(key: Key, image: Image) -> Image:
    for position, stage in enumerate(stages):
      image = stage(jax.random.fold_in(key, position), image)
    return image

  return augment


def _from_mean(image: Image, factor: Float[Array, 'b 1 1 1'], axes: tuple[int, ...]) -> Image:
  """The mean, and the distance from it times the factor."""
  mean = jnp.mean(image, axis=axes, keepdims=True)
  return mean + factor * (image - mean)


def _pixels(size: int, share: float) -> int:
  return int(size * share + 0.5)


def _covered(key: Key, b: int, n: int, side: int) -> Shaped[Array, 'b n']:
  """Which places lie in an interval of `side`, whose middle is anywhere."""
  middle = jax.random.randint(key, (b, 1), 0, n + (1 - side % 2))
  place = jnp.arange(n) - (middle - side // 2)
  return (place >= 0) & (place < side)
