"""A frozen model that pictures are looked at through, prepared as its own pictures were."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, PyTree

from vitlab.errors import UserError
from vitlab.ops.encoded import for_encoder

Image = Float[Array, 'b h w c']


class Encoder(NamedTuple):
  """A model of pictures, and what it was trained on.

  Attributes:
    module: Called as module(image, train) -> (logits, out), with 'features' in `out`.
    mean: Of the pixels in [0, 1]; subtracted.
    std: Divided by.
    image_size: (height, width) of its pictures; None: any.
    channels: 3 or 1; None: any.
  """

  module: nn.Module
  mean: Sequence[float]
  std: Sequence[float]
  image_size: Sequence[int] | None
  channels: int | None

  def prepared(self, image: Image) -> Float[Array, 'b y x d']:
    """Pictures in [0, 1] as it wants them."""
    size = image.shape[1:3] if self.image_size is None else tuple(self.image_size)
    channels = self.channels or image.shape[-1]
    return for_encoder(image, size, self.mean, self.std, channels)

  def features(self, variables: Mapping[str, PyTree], image: Image) -> Float[Array, 'b d']:
    """What its classifier sees of pictures in [0, 1]."""
    out = self._apply(variables, image)[1]
    if 'features' not in out:
      raise UserError(f'the encoder {type(self.module).__name__} gives no features')
    return out['features'].astype(jnp.float32)

  def logits(self, variables: Mapping[str, PyTree], image: Image) -> Float[Array, 'b classes']:
    """What it takes pictures in [0, 1] for."""
    return self._apply(variables, image)[0].astype(jnp.float32)

  def _apply(self, variables: Mapping[str, PyTree], image: Image) -> tuple[Array, Any]:
    return self.module.apply(variables, self.prepared(image), train=False)
