"""Augmentations that move pixels: crops and flips."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

Key = Shaped[Array, '']


def random_crop(
  key: Key,
  image: Float[Array, 'b h w c'],
  target: Float[Array, 'b classes'],
  padding: int = 4,
  mode: str = 'zero',
) -> tuple[Float[Array, 'b h w c'], Float[Array, 'b classes']]:
  """Shifts by up to `padding` pixels each way: pad, then crop to the old size at random.

  He et al. 2015 (arXiv:1512.03385), section 4.2. `mode` is what the border holds: 'zero',
  'reflect' (the simple random crop of DeiT III, arXiv:2204.07118) or 'edge'.
  """
  _, h, w, _ = image.shape
  borders = ((0, 0), (padding, padding), (padding, padding), (0, 0))
  padded = jnp.pad(image, borders, mode='constant' if mode == 'zero' else mode)
  corner = jax.random.randint(key, (image.shape[0], 2), 0, 2 * padding + 1)

  def crop(image, corner):
    return jax.lax.dynamic_slice(image, (*corner, 0), (h, w, image.shape[-1]))

  return jax.vmap(crop)(padded, corner), target


def flip(
  key: Key,
  image: Float[Array, 'b h w c'],
  target: Float[Array, 'b classes'],
  probability: float = 0.5,
) -> tuple[Float[Array, 'b h w c'], Float[Array, 'b classes']]:
  """Mirrors left and right."""
  chosen = jax.random.bernoulli(key, probability, (image.shape[0], 1, 1, 1))
  return jnp.where(chosen, image[:, :, ::-1], image), target
