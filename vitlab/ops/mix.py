"""Augmentations that put something else into an image: another example, or noise.

The partner of an example is its neighbour (0 with 1, 2 with 3, ...; the last of an odd batch is
its own): as random as any pairing of a shuffled batch, and no device needs another one's images.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from vitlab.ops.geometry import random_boxes

Key = Shaped[Array, '']
Image = Float[Array, 'b h w c']
Target = Float[Array, 'b classes']


def partners(x: Shaped[Array, 'b ...'], step: int = 1, group: int = 2) -> Shaped[Array, 'b ...']:
  """Each row replaced by the one `step` further on in its group; what is left over is a group."""
  even = x.shape[0] // group * group
  groups = x[:even].reshape(even // group, group, *x.shape[1:])
  turned = jnp.roll(groups, -step, axis=1).reshape(even, *x.shape[1:])
  if even == x.shape[0]:
    return turned
  return jnp.concatenate([turned, jnp.roll(x[even:], -step, axis=0)])


def beta(key: Key, alpha: float, size: int) -> Float[Array, ' size']:
  """Beta(alpha, alpha), drawn from 4096 equally likely quantiles.

  The rejection loops of `jax.random.beta` take 2 s to compile and stall an accelerator.
  """
  from scipy import special  # a tenth of a second of a start, for mixing alone

  quantiles = special.betaincinv(alpha, alpha, (np.arange(4096) + 0.5) / 4096)
  return jax.random.choice(key, jnp.asarray(quantiles, jnp.float32), (size,))


def mixup(key: Key, image: Image, target: Target, alpha: float = 0.2) -> tuple[Image, Target]:
  """`l x + (1 - l) x'` of image and target alike, l ~ Beta(alpha, alpha) for each example.

  Zhang et al. 2017 (arXiv:1710.09412), equation 1.
  """
  share = beta(key, alpha, image.shape[0])
  keep = share[:, None, None, None]
  return keep * image + (1.0 - keep) * partners(image), _mix_targets(target, share)


def cutmix(key: Key, image: Image, target: Target, alpha: float = 1.0) -> tuple[Image, Target]:
  """Pastes a box of the partner, and mixes the targets by its area.

  Yun et al. 2019 (arXiv:1905.04899), equation 1 and section 3.1: the box has sqrt(1 - l) of height
  and width, l ~ Beta(alpha, alpha), about a uniform centre, and is cut off at the border.
  """
  b, h, w, _ = image.shape
  share_key, centre_key = jax.random.split(key)
  side = jnp.sqrt(1.0 - beta(share_key, alpha, b))
  centre = jax.random.uniform(centre_key, (2, b))
  rows = _interval(jnp.floor(centre[0] * h), jnp.floor(side * h), h)
  columns = _interval(jnp.floor(centre[1] * w), jnp.floor(side * w), w)
  box = (rows[:, :, None] & columns[:, None, :])[..., None]
  share = 1.0 - box.mean(axis=(1, 2, 3))
  return jnp.where(box, partners(image), image), _mix_targets(target, share)


def mixup_or_cutmix(
  key: Key,
  image: Image,
  target: Target,
  mixup_alpha: float = 0.8,
  cutmix_alpha: float = 1.0,
  switch_probability: float = 0.5,
) -> tuple[Image, Target]:
  """For each example cutmix with `switch_probability`, else mixup: DeiT (arXiv:2012.12877)."""
  switch_key, mixup_key, cutmix_key = jax.random.split(key, 3)
  switch = jax.random.bernoulli(switch_key, switch_probability, (image.shape[0],))
  mixed = mixup(mixup_key, image, target, mixup_alpha)
  cut = cutmix(cutmix_key, image, target, cutmix_alpha)
  return (
    jnp.where(switch[:, None, None, None], cut[0], mixed[0]),
    jnp.where(switch[:, None], cut[1], mixed[1]),
  )


def random_erasing(
  key: Key,
  image: Image,
  target: Target,
  probability: float = 0.25,
  scale: tuple[float, float] = (0.02, 1 / 3),
  ratio: tuple[float, float] = (0.3, 10 / 3),
) -> tuple[Image, Target]:
  """Fills a random box with noise that is uniform in [0, 1].

  Zhong et al. 2017 (arXiv:1708.04896), algorithm 1, with the aspect log-uniform as in timm. An
  image into which no box fits after 10 draws stays whole.
  """
  b, h, w, _ = image.shape
  box_key, choice_key, noise_key = jax.random.split(key, 3)
  boxes = random_boxes(box_key, image, scale, ratio)
  rows = _within(boxes.top, boxes.height, h)
  columns = _within(boxes.left, boxes.width, w)
  chosen = boxes.fits & jax.random.bernoulli(choice_key, probability, (b,))
  box = (chosen[:, None, None] & rows[:, :, None] & columns[:, None, :])[..., None]
  return jnp.where(box, jax.random.uniform(noise_key, image.shape), image), target


def _mix_targets(target: Target, share: Float[Array, ' b']) -> Target:
  return share[:, None] * target + (1.0 - share[:, None]) * partners(target)


def _interval(centre: Float[Array, ' b'], length: Float[Array, ' b'], size: int):
  """Which of `size` places lie in [centre - length // 2, + length)."""
  return _within(centre - length // 2, length, size)


def _within(start: Float[Array, ' b'], length: Float[Array, ' b'], size: int):
  place = jnp.arange(size)
  return (place >= jnp.round(start)[:, None]) & (place < jnp.round(start + length)[:, None])
