"""Augmentations that move pixels: crops, flips, affine maps. The size of the image stays."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

Key = Shaped[Array, '']
Image = Float[Array, 'b h w c']
Target = Float[Array, 'b classes']

ATTEMPTS = 10  # boxes drawn until one fits into the image


class Boxes(NamedTuple):
  """One box for each image, in pixels (not whole ones), and whether it lies in the image."""

  top: Float[Array, ' b']
  left: Float[Array, ' b']
  height: Float[Array, ' b']
  width: Float[Array, ' b']
  fits: Bool[Array, ' b']


def random_crop(
  key: Key, image: Image, target: Target, padding: int = 4, mode: str = 'zero'
) -> tuple[Image, Target]:
  """Shifts by up to `padding` pixels each way: pad, then crop to the old size at random.

  He et al. 2015 (arXiv:1512.03385), section 4.2. `mode` is what the border holds: 'zero',
  'reflect' (the simple random crop of DeiT III, arXiv:2204.07118) or 'edge'.
  """
  b, h, w, c = image.shape
  borders = ((0, 0), (padding, padding), (padding, padding), (0, 0))
  padded = jnp.pad(image, borders, mode='constant' if mode == 'zero' else mode)
  corner = jax.random.randint(key, (b, 2), 0, 2 * padding + 1)
  return cut(padded, corner, (h, w)), target


def cut(
  image: Float[Array, 'b h w c'], corner: Int[Array, 'b 2'], size: tuple[int, int]
) -> Float[Array, 'b y x c']:
  """Of each image the box of one size that starts at its corner (y, x)."""

  def box(image, corner):
    return jax.lax.dynamic_slice(image, (*corner, 0), (*size, image.shape[-1]))

  return jax.vmap(box)(image, corner)


def flip(key: Key, image: Image, target: Target, probability: float = 0.5) -> tuple[Image, Target]:
  """Mirrors left and right."""
  chosen = jax.random.bernoulli(key, probability, (image.shape[0], 1, 1, 1))
  return jnp.where(chosen, image[:, :, ::-1], image), target


def resized_crop(
  key: Key,
  image: Image,
  target: Target,
  scale: tuple[float, float] = (0.08, 1.0),
  ratio: tuple[float, float] = (3 / 4, 4 / 3),
  interpolation: str = 'bilinear',
) -> tuple[Image, Target]:
  """Enlarges a random box to the whole image ('Inception crop').

  Szegedy et al. 2014 (arXiv:1409.4842), section 6. The box has a share of the area uniform in
  `scale` and a width over height log-uniform in `ratio`; where none fits after 10 draws, it is the
  largest central one. `interpolation` is 'bilinear' or 'bicubic'.
  """
  _, h, w, c = image.shape
  box = random_boxes(key, image, scale, ratio)
  full_height, full_width = min(h, w / ratio[0]), min(w, h * ratio[1])
  height = jnp.where(box.fits, box.height, full_height)
  width = jnp.where(box.fits, box.width, full_width)
  top = jnp.where(box.fits, box.top, (h - full_height) / 2)
  left = jnp.where(box.fits, box.left, (w - full_width) / 2)
  zoom = jnp.stack([h / height, w / width], axis=-1)
  shift = -zoom * jnp.stack([top, left], axis=-1)

  def resize(image, zoom, shift):
    # Two matrix products, one for each axis: faster than to gather on every device.
    return jax.image.scale_and_translate(image, (h, w, c), (0, 1), zoom, shift, interpolation)

  return jnp.clip(jax.vmap(resize)(image, zoom, shift), 0.0, 1.0), target


def random_boxes(
  key: Key, image: Image, scale: tuple[float, float], ratio: tuple[float, float]
) -> Boxes:
  """The first of 10 draws, area uniform and aspect log-uniform, that lies within the image."""
  b, h, w, _ = image.shape
  area_key, ratio_key, corner_key = jax.random.split(key, 3)
  shape = (b, ATTEMPTS)
  area = h * w * jax.random.uniform(area_key, shape, minval=scale[0], maxval=scale[1])
  low, high = jnp.log(jnp.asarray(ratio))
  aspect = jnp.exp(jax.random.uniform(ratio_key, shape, minval=low, maxval=high))
  height, width = jnp.sqrt(area / aspect), jnp.sqrt(area * aspect)
  inside = (height <= h) & (width <= w)
  first = jnp.arange(ATTEMPTS) == jnp.argmax(inside, axis=1)[:, None]
  height, width = jnp.sum(first * height, axis=1), jnp.sum(first * width, axis=1)
  corner = jax.random.uniform(corner_key, (2, b))
  top, left = corner[0] * (h - height), corner[1] * (w - width)
  return Boxes(top, left, height, width, inside.any(axis=1))


def affine(
  key: Key,
  image: Image,
  target: Target,
  degrees: float = 0.0,
  translate: float = 0.0,
  zoom: tuple[float, float] = (1.0, 1.0),
  shear: float = 0.0,
  fill: float = 0.0,
) -> tuple[Image, Target]:
  """Rotates, moves, enlarges and shears at random, about the centre, in one resampling.

  The angle is uniform in +-degrees, the shift in +-translate of height and width, the shear in
  +-shear along x, the enlargement log-uniform in `zoom`. What comes from outside is `fill`.
  """
  b, h, w, _ = image.shape
  draw = jax.random.uniform(key, (5, b), minval=-1.0, maxval=1.0)
  angle = jnp.deg2rad(degrees) * draw[0]
  low, high = jnp.log(jnp.asarray(zoom))
  size = jnp.exp((low + high) / 2 + (high - low) / 2 * draw[1])
  matrix = rotation(angle) @ shearing(jnp.zeros(b), shear * draw[2]) / size[:, None, None]
  return warp(image, matrix, translate * draw[3:].T * jnp.array([h, w]), fill), target


def rotation(angle: Float[Array, ' b']) -> Float[Array, 'b 2 2']:
  """Counter-clockwise on the screen, in radians; acts on (y, x)."""
  cos, sin = jnp.cos(angle), jnp.sin(angle)
  return jnp.stack([jnp.stack([cos, sin], -1), jnp.stack([-sin, cos], -1)], -2)


def shearing(y: Float[Array, ' b'], x: Float[Array, ' b']) -> Float[Array, 'b 2 2']:
  """Moves a pixel by `y` times its column and by `x` times its row; acts on (y, x)."""
  one = jnp.ones_like(y)
  return jnp.stack([jnp.stack([one, y], -1), jnp.stack([x, one], -1)], -2)


def warp(
  image: Image, matrix: Float[Array, 'b 2 2'], shift: Float[Array, 'b 2'], fill: float = 0.0
) -> Image:
  """Puts at each place p, from the centre, the pixel at `matrix @ p + shift` (bilinear).

  Outside of the image lies `fill`. The map leads from the result back to the image, so that it
  enlarges where the matrix is small.
  """
  b, h, w, c = image.shape
  size = jnp.asarray([h, w])
  centre = (size - 1) / 2
  place = jnp.stack(jnp.meshgrid(jnp.arange(h), jnp.arange(w), indexing='ij'), -1) - centre
  place = jnp.concatenate([place, jnp.ones((h, w, 1))], axis=-1)
  # One product in homogeneous coordinates. XLA computes what goes into a product once, but would
  # compute a shift that is added to it, and the random bits it comes from, for every pixel.
  motion = jnp.concatenate([matrix, (shift + centre)[..., None]], axis=-1)
  source = jnp.einsum('hwj,bij->bhwi', place, motion, precision='highest')
  # One pixel of fill on every side, so that nothing is looked up outside.
  source = jnp.clip(source + 1, 0, size + 1)
  corner = jnp.minimum(jnp.floor(source), size).astype(jnp.int32)
  y, x = jnp.moveaxis(source - corner, -1, 0)[..., None]
  first = (corner[..., 0] * (w + 2) + corner[..., 1]).reshape(b, h * w, 1)
  borders = ((0, 0), (1, 1), (1, 1), (0, 0))
  pixels = jnp.pad(image, borders, constant_values=fill).reshape(b, (h + 2) * (w + 2), c)

  def at(offset):
    return jnp.take_along_axis(pixels, first + offset, axis=1).reshape(b, h, w, c)

  upper = (1 - x) * at(0) + x * at(1)
  return (1 - y) * upper + y * ((1 - x) * at(w + 2) + x * at(w + 3))


def place(
  image: Image,
  start: Float[Array, 'b 2'],
  stop: Float[Array, 'b 2'],
  zoom: Float[Array, 'b 2'],
  shift: Float[Array, 'b 2'],
) -> tuple[Image, Float[Array, 'b h w 1']]:
  """Puts the point p of the window from `start` to `stop` at `zoom p + shift`; each is (y, x).

  Pixel i covers [i, i + 1]. Bilinear, and antialiased where it makes smaller; what lies outside of
  the window has no part in it. Separable, so two matrix products.

  Returns:
    The images, zero where nothing was put, and 1 where something was, else 0.
  """
  h, w = image.shape[1:3]
  y, rows = _axis(h, start[:, 0], stop[:, 0], zoom[:, 0], shift[:, 0])
  x, columns = _axis(w, start[:, 1], stop[:, 1], zoom[:, 1], shift[:, 1])
  placed = jnp.einsum('byh,bhwc->bywc', y, image, precision='highest')
  placed = jnp.einsum('bxw,bywc->byxc', x, placed, precision='highest')
  return jnp.clip(placed, 0.0, 1.0), (rows[:, :, None] & columns[:, None, :])[..., None].astype(
    image.dtype
  )


def _axis(n, start, stop, zoom, shift) -> tuple[Float[Array, 'b to from'], Bool[Array, 'b to']]:
  """How much of each place of the window comes to each place, and which places get something."""
  start, stop, zoom, shift = (x[:, None] for x in (start, stop, zoom, shift))
  middle = jnp.arange(n) + 0.5
  source = (middle - shift) / zoom
  inside = (source > start) & (source < stop)
  distance = jnp.abs(source[..., None] - middle) * jnp.minimum(zoom, 1.0)[..., None]
  window = (middle > start) & (middle < stop)
  weight = jnp.maximum(0.0, 1.0 - distance) * window[:, None, :]
  # a window thinner than half a pixel holds the middle of none
  total = jnp.maximum(weight.sum(-1, keepdims=True), 1e-6)
  return jnp.where(inside[..., None], weight / total, 0.0), inside
