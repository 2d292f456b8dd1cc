"""Feature pyramid: fine maps told what coarse ones have understood (arXiv:1612.03144)."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vitlab.layers.conv import Conv

# torch's kaiming_uniform with a=1, for all of its convolutions.
LECUN_UNIFORM = nn.initializers.variance_scaling(1.0, 'fan_in', 'uniform')


class FPN(nn.Module):
  """From the maps of a backbone, each half the size of the one before, maps of one width.

  From coarse to fine: the sum so far, twice as large, is added to the next map (its 1×1
  convolution); a 3×3 convolution of each sum is a level. One level more is every second pixel of
  the coarsest: for anchors too large for the others.

  Attributes:
    channels: Of every level.
    norm: Copied behind every convolution, which then has no bias; None: of the paper.
    dtype: What is computed in.
  """

  channels: int = 256
  norm: nn.Module | None = None
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, maps: Sequence[Array], train: bool = False) -> list[Array]:
    """The levels of maps b h w c, both from fine to coarse; one level more than maps."""

    def conv(x: Array, size: int, name: str, i: int) -> Array:
      options = dict(use_bias=self.norm is None, kernel_init=LECUN_UNIFORM, dtype=self.dtype)
      x = Conv(self.channels, size, **options, name=f'{name}_{i}')(x)
      return x if self.norm is None else self.norm.copy(name=f'{name}_norm_{i}')(x, train)

    levels, total = [], None
    for i, x in reversed(list(enumerate(maps))):
      lateral = conv(x, 1, 'lateral', i)
      total = lateral if total is None else lateral + doubled(total, lateral.shape[1:3])
      levels.insert(0, conv(total, 3, 'output', i))
    return [*levels, levels[-1][:, ::2, ::2]]


def doubled(x: Float[Array, 'b h w c'], sides: tuple[int, int]) -> Float[Array, 'b y x c']:
  """Every pixel as 2×2 (nearest upsampling), less the last row or column where a side is odd."""
  b, h, w, c = x.shape
  x = jnp.broadcast_to(x[:, :, None, :, None], (b, h, 2, w, 2, c)).reshape(b, 2 * h, 2 * w, c)
  return jax.lax.slice(x, (0, 0, 0, 0), (b, *sides, c))
