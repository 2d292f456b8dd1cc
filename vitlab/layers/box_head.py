"""Features of the regions that a two-stage detector looks at again."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vitlab.layers.conv import Conv
from vitlab.layers.dense import Dense


class BoxHead(nn.Module):
  """Convolutions if any, then dense layers, each with a ReLU.

  Attributes:
    hidden: Width of each dense layer.
    convs: Channels of each 3×3 convolution.
    norm: Behind each convolution. In training, batchnorm's statistics are those of all regions,
      empty rows of a sample among them.
    dtype: What is computed in.
  """

  hidden: Sequence[int]
  convs: Sequence[int] = ()
  norm: nn.Module | None = None
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'n y x c'], train: bool = False) -> Float[Array, 'n f']:
    for i, channels in enumerate(self.convs):
      x = Conv(channels, dtype=self.dtype, name=f'conv_{i}')(x)
      x = nn.relu(self.norm.copy(name=f'norm_{i}')(x, train))
    for i, width in enumerate(self.hidden, 1):
      x = nn.relu(Dense(width, axes=x.ndim - 1, dtype=self.dtype, name=f'hidden{i}')(x))
    return x
