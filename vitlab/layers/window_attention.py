"""Attention within windows that know where their tokens are (Swin, arXiv:2103.14030)."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vitlab.errors import UserError
from vitlab.layers.dense import Dense
from vitlab.ops import windows

# Added to the logits of those who may not look: exp makes zero of it, and every dtype holds it. The
# original's -100 is no different while the logits of a query are less than 60 apart.
MASKED = -3e4


class WindowAttention(nn.Module):
  """W-MSA and SW-MSA: attention among the tokens of a window, in place or shifted by half of it.

  The map is padded to whole windows at the bottom and on the right, then shifted; padding is seen,
  as by the original. Parameters are those of the attention, and `position_bias` beside them.

  Attributes:
    attention: `SelfAttention` or `CosineAttention`.
    position_bias: Side of a window -> what is added to the logits.
    window_size: Side of the windows; on a smaller map they are as large as its shorter side.
  """

  attention: nn.Module
  position_bias: nn.Module
  window_size: int

  def setup(self):
    nn.share_scope(self, self.attention)

  def __call__(
    self, x: Float[Array, 'b h w d'], train: bool = False, *, shifted: bool = False
  ) -> tuple[Float[Array, 'b h w d'], dict[str, Float[Array, 'b g n t t']]]:
    """Attends within windows.

    Args:
      x: A map of tokens.
      train: Whether dropout acts, with the rng 'dropout'.
      shifted: Whether the windows are shifted (SW-MSA).

    Returns:
      The tokens' mixture, and {'attention': the weights in the g windows of the padded and shifted
      map}.
    """
    b, h, w, d = x.shape
    window, shift = windows.window_and_shift((h, w), self.window_size, shifted)
    x = windows.pad_to_multiple(x, window, window)
    size = x.shape[1:3]
    x = windows.partition(windows.cyclic_shift(x, shift), window)
    g, t = x.shape[1:3]
    bias = self.position_bias(window)[None]
    if shift:
      # Masked for each image: the gradient is then summed over images and windows in one go, and
      # what devices send of it is [n, t, t], not [g, n, t, t].
      mask = windows.shift_mask(size, window, shift)[:, None]
      bias = jnp.where(mask, jnp.broadcast_to(bias, (b, g, *bias.shape[1:])), MASKED)
      bias = bias.reshape(b * g, -1, t, t)
    x, seen = self.attention(x.reshape(b * g, t, d), train, bias=bias)
    weights = seen['attention'].reshape(b, g, -1, t, t)
    x = windows.reverse(x.reshape(b, g, t, d), size)
    return windows.cyclic_shift(x, -shift)[:, :h, :w], dict(attention=weights)


class RelativePositionBias(nn.Module):
  """A learned number per head and offset of a query from a key (Swin, equation 4).

  Attributes:
    num_heads: Of the attention.
  """

  num_heads: int

  @nn.compact
  def __call__(self, window: int) -> Float[Array, 'n t t']:
    """The bias; smaller windows than the table was learned on have the smaller offsets of it.

    Raises:
      UserError: the window is larger.
    """
    side = 2 * window - 1
    learned = side
    if self.has_variable('params', 'table'):
      learned = self.get_variable('params', 'table').shape[0]
    if learned < side:
      raise UserError(
        f'the image gives windows of {window}×{window}, the position bias was learned on '
        f'{(learned + 1) // 2}×{(learned + 1) // 2}\nresample it with vitlab.ops.positions.resample'
      )
    init = nn.initializers.normal(0.02)
    table = self.param('table', init, (learned, learned, self.num_heads), jnp.float32)
    margin = (learned - side) // 2
    table = table[margin : margin + side, margin : margin + side]
    return _by_pair(table, window)


class ContinuousPositionBias(nn.Module):
  """The bias as a function of the log-spaced offset, for any window (Swin v2, arXiv:2111.09883).

  16 · sigmoid(mlp(offset)), equation 3 and section 3.3.

  Attributes:
    num_heads: Of the attention.
    hidden: Width of the mlp.
    pretrained_window: The side that offsets are relative to; 0: that of the window itself.
    dtype: What is computed in.
  """

  num_heads: int
  hidden: int = 512
  pretrained_window: int = 0
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, window: int) -> Float[Array, 'n t t']:
    init = nn.initializers.normal(0.02)
    dtype = jnp.promote_types(self.dtype, jnp.float32)
    x = jnp.asarray(windows.log_coordinates(window, self.pretrained_window), dtype)
    x = nn.relu(Dense(self.hidden, dtype=dtype, kernel_init=init, name='up')(x))
    x = Dense(self.num_heads, use_bias=False, dtype=dtype, kernel_init=init, name='down')(x)
    return _by_pair(16 * jax.nn.sigmoid(x), window)


def _by_pair(table: Float[Array, 'y x n'], window: int) -> Float[Array, 'n t t']:
  """The entry of every query and key."""
  table = table.reshape(-1, table.shape[-1]).T
  return table[:, windows.relative_position_index(window)]
