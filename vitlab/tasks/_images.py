"""What tasks of labelled pictures have in common: their examples, and their pixels."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from vitlab.tasks import Assumed


def example(facts: Mapping[str, Any]) -> dict[str, Any]:
  """An example of the data set, all zero: its `image` of the size in the facts, and its `label`."""
  size = facts['image']
  image = np.zeros((*size['image_size'], size['channels']), np.uint8)
  return dict(image=image, label=np.int32(0))


def assumed(data: Mapping[str, Any], model: Mapping[str, Any]) -> Assumed | None:
  """What a config says of pictures that are not here: their size, and the classes of the model."""
  size, num_classes = data.get('image_size'), model.get('num_classes')
  if not size or not num_classes:
    return None
  image = dict(
    image_size=(size, size) if isinstance(size, int) else tuple(size),
    channels=data.get('channels', 3),
  )
  facts = dict(num_classes=num_classes, image=image)
  return Assumed(facts, example(facts))


def pixels(image: Shaped[Array, 'b h w c']) -> Float[Array, 'b h w c']:
  """Bytes in [0, 1]."""
  return image.astype(jnp.float32) / 255.0
