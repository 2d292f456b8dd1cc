"""Denoising queries: objects told with mistakes, which a detector is to put right.

DN-DETR, Li et al. 2022 (arXiv:2203.01305). What they predict needs no matching, so that layers
learn to move boxes while the matching of the other queries is still a matter of chance.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from vitlab.ops.boxes import Objects

CLASS_NOISE, BOX_NOISE = 0.2, 0.4  # section 4.1


def disturb(key: Shaped[Array, ''], objects: Objects, groups: int, num_classes: int) -> Objects:
  """Objects told anew in each group, some of another class and all at another place.

  A class is drawn anew with probability 0.2; a centre moves by up to 0.4 of half a side, a side
  grows or shrinks by up to 0.4 of itself.

  Args:
    key: Of what is random.
    objects: Boxes as (centre, width and height) in sides of the picture.
    groups: How often each is told.
    num_classes: How many there are.

  Returns:
    groups · o objects, group after group.
  """
  boxes, classes = (jnp.concatenate([x] * groups, axis=1) for x in objects)
  keys = jax.random.split(key, 3)
  drawn = jax.random.randint(keys[0], classes.shape, 0, num_classes)
  wrong = jax.random.bernoulli(keys[1], CLASS_NOISE, classes.shape) & (classes >= 0)
  reach = jnp.concatenate([boxes[..., 2:] / 2, boxes[..., 2:]], axis=-1)
  noise = jax.random.uniform(keys[2], boxes.shape, boxes.dtype, -BOX_NOISE, BOX_NOISE)
  return Objects(jnp.clip(boxes + noise * reach, 0, 1), jnp.where(wrong, drawn, classes))
