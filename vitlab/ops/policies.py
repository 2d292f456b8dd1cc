"""Augmentation policies: several operations of `geometry` and `color`, chosen per example.

An operation chosen per example is computed for all and then selected; what shares its costly part
is therefore computed together: one warp for all movements, one blend for all enhancements.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from vitlab.ops import color, geometry

Key = Shaped[Array, '']
Image = Float[Array, 'b h w c']
Target = Float[Array, 'b classes']

# The 14 operations of RandAugment, figure 2.
RAND_AUGMENT = (
  'identity',
  'autocontrast',
  'equalize',
  'rotate',
  'solarize',
  'color',
  'posterize',
  'contrast',
  'brightness',
  'sharpness',
  'shear_x',
  'shear_y',
  'translate_x',
  'translate_y',
)
MAX_MAGNITUDE = 10.0  # of the scale that the largest strengths below belong to
MAX_BLUR = 2.0  # pixels


def rand_augment(
  key: Key,
  image: Image,
  target: Target,
  num_layers: int = 2,
  magnitude: float = 9.0,
  magnitude_std: float = 0.0,
  fill: float = 0.5,
) -> tuple[Image, Target]:
  """Applies `num_layers` operations, each uniform among 14, all at one strength.

  Cubuk et al. 2019 (arXiv:1909.13719), on the scale from 0 to 10 of AutoAugment (arXiv:1805.09501,
  table 6). Larger magnitudes always change more, as in timm's 'inc1'; DeiT's 'rand-m9-mstd0.5' is
  `magnitude=9, magnitude_std=0.5` here, apart from timm's other list of operations. What a movement
  leaves bare is `fill`.
  """
  for layer in range(num_layers):
    choice_key, strength_key, sign_key = jax.random.split(jax.random.fold_in(key, layer), 3)
    b = image.shape[0]
    choice = jax.random.randint(choice_key, (b,), 0, len(RAND_AUGMENT))
    strength = magnitude + magnitude_std * jax.random.normal(strength_key, (b,))
    strength = jnp.clip(strength, 0.0, MAX_MAGNITUDE) / MAX_MAGNITUDE
    sign = jax.random.rademacher(sign_key, (b,), jnp.float32)
    image = apply_operation(image, choice, strength, sign, fill)
  return image, target


def apply_operation(
  image: Image,
  choice: Int[Array, ' b'],
  strength: Float[Array, ' b'],
  sign: Float[Array, ' b'],
  fill: float = 0.5,
) -> Image:
  """Applies to each example the operation with its index in `RAND_AUGMENT`.

  Largest strengths: rotation 30 degrees, shear 0.3, translation 150/331 of the side, enhancement
  1 +- 0.9, posterize to 4 bits, solarize from 0 on.
  """
  chosen = {name: choice == i for i, name in enumerate(RAND_AUGMENT)}
  signed = sign * strength
  image = _move(image, chosen, signed, fill)
  image = _enhance(image, chosen, 1.0 + 0.9 * signed)
  for name, changed in (
    ('autocontrast', color.autocontrast(image)),
    ('equalize', color.equalize(image)),
    # the threshold 256 of 'nothing' is above every pixel
    ('solarize', color.solarize(image, (1.0 - strength) * 256 / 255)),
    ('posterize', color.posterize(image, 8.0 - 4.0 * strength)),
  ):
    image = jnp.where(chosen[name][:, None, None, None], changed, image)
  return image


def _move(image, chosen, signed, fill):
  """One warp; it is the identity where no movement was chosen."""
  _, h, w, _ = image.shape

  def amount(name, largest):
    return jnp.where(chosen[name], largest * signed, 0.0)

  matrix = geometry.rotation(amount('rotate', jnp.pi / 6)) @ geometry.shearing(
    amount('shear_y', 0.3), amount('shear_x', 0.3)
  )
  largest = 150 / 331
  shift = [amount('translate_y', largest * h), amount('translate_x', largest * w)]
  return geometry.warp(image, matrix, jnp.stack(shift, axis=-1), fill)


def _enhance(image, chosen, factor):
  """One blend; its factor is 1 where no enhancement was chosen."""
  other, enhanced = jnp.zeros_like(image), chosen['brightness']
  for name, degenerate in (
    ('color', color.grayscale(image)),
    ('contrast', color.mean_grey(image)),
    ('sharpness', color.smooth(image)),
  ):
    other = jnp.where(chosen[name][:, None, None, None], degenerate, other)
    enhanced |= chosen[name]
  return color.blend(image, other, jnp.where(enhanced, factor, 1.0))


def three_augment(
  key: Key, image: Image, target: Target, jitter: float = 0.3
) -> tuple[Image, Target]:
  """3-Augment: one of grey, solarize and Gaussian blur, then colour jitter.

  Touvron et al. 2022, DeiT III (arXiv:2204.07118), section 3.2 (its flip is `flip`, its crop
  `random_crop(padding=4, mode='reflect')`). The blur has a radius uniform in 0.1 to 2 pixels.
  """
  choice_key, sigma_key, jitter_key = jax.random.split(key, 3)
  b = image.shape[0]
  choice = jax.random.randint(choice_key, (b, 1, 1, 1), 0, 3)
  sigma = jax.random.uniform(sigma_key, (b,), minval=0.1, maxval=MAX_BLUR)
  image = jnp.select(
    [choice == 0, choice == 1],
    [color.grayscale(image), color.solarize(image, jnp.full(b, 128 / 255))],
    color.gaussian_blur(image, sigma),
  )
  return color_jitter(jitter_key, image, target, jitter, jitter, jitter)


def color_jitter(
  key: Key,
  image: Image,
  target: Target,
  brightness: float = 0.4,
  contrast: float = 0.4,
  saturation: float = 0.4,
) -> tuple[Image, Target]:
  """Enhances brightness, contrast and saturation, in this order, by factors 1 +- the given."""
  return enhance(key, image, brightness, contrast, saturation), target


def enhance(
  key: Key,
  image: Image,
  brightness: float,
  contrast: float,
  saturation: float,
  valid: color.Valid | None = None,
) -> Image:
  """`color_jitter` of images alone; the contrast is about the mean of what is `valid`."""
  operations = (
    (color.brightness, brightness),
    (functools.partial(color.contrast, valid=valid), contrast),
    (color.saturation, saturation),
  )
  for i, (operation, amount) in enumerate(operations):
    factor = jax.random.uniform(
      jax.random.fold_in(key, i),
      (image.shape[0],),
      minval=max(0.0, 1.0 - amount),
      maxval=1.0 + amount,
    )
    image = operation(image, factor)
  return image
