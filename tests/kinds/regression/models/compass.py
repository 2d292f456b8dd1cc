"""A small convolutional network that answers with a direction."""

from typing import Any

from flax import linen as nn
from jaxtyping import Array, Float


class Compass(nn.Module):
  """Convolutions with stride 2, then two layers; the answer (sin, cos) is of any length.

  Attributes:
    widths: Channels of each convolution.
    hidden: Width of the layer before the last.
  """

  widths: tuple[int, ...]
  hidden: int

  @nn.compact
  def __call__(
    self, image: Float[Array, 'b h w c'], train: bool = False
  ) -> tuple[Float[Array, 'b 2'], dict[str, Any]]:
    x = image
    for i, width in enumerate(self.widths):
      x = nn.gelu(nn.Conv(width, (3, 3), strides=(2, 2) if i else (1, 1), name=f'conv{i}')(x))
    x = x.reshape(x.shape[0], -1)
    x = nn.gelu(nn.Dense(self.hidden, name='hidden')(x))
    return nn.Dense(2, name='head')(x), {'features': x}


def make(widths: tuple[int, ...] = (16, 32, 64), hidden: int = 128) -> nn.Module:
  return Compass(tuple(widths), hidden)
