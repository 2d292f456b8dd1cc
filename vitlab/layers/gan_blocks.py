"""Residual blocks of generators and discriminators: those of SNGAN (arXiv:1802.05957, figure 6).

Those of He et al. with the norm and the ReLU in front of each convolution. A generator's doubles
the map before its first convolution, a discriminator's halves it behind its last one.

Shortcuts carry x itself, as in the authors' code of SNGAN and SAGAN. That of mimicry and others
means the same, but its ReLUs write into x: the discriminator's shortcuts lose what is negative.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
from jaxtyping import Array, Float, Int

from vitlab.errors import UserError
from vitlab.layers.norms import BatchNorm, ConditionalBatchNorm

# Of the 3×3 convolutions in blocks, Xavier times √2, as SNGAN's; all other kernels are Xavier. σ
# divides what they begin with: it is how far the first steps turn them that depends on it.
XAVIER_RELU = nn.initializers.variance_scaling(2.0, 'fan_avg', 'uniform')


class GeneratorBlock(nn.Module):
  """Doubles the map: shortcut(up(x)) + conv(relu(norm(conv(up(relu(norm(x))))))).

  Attributes:
    features: Channels of the result.
    conv: (features, size, kernel_init, name) -> convolution.
    norm: (name) -> norm, called with the map, the label and `train`.
  """

  features: int
  conv: Callable[..., nn.Module]
  norm: Callable[..., Callable]

  @nn.compact
  def __call__(
    self, x: Float[Array, 'b h w c'], label: Int[Array, ' b'] | None, train: bool = False
  ) -> Float[Array, 'b 2*h 2*w d']:
    conv = partial(self.conv, self.features)
    # A 1×1 convolution and `double` may change places; this is a quarter of the work.
    shortcut = double(conv(1, name='conv_shortcut')(x, train))
    x = double(nn.relu(self.norm(name='norm1')(x, label, train)))
    x = conv(3, kernel_init=XAVIER_RELU, name='conv1')(x, train)
    x = nn.relu(self.norm(name='norm2')(x, label, train))
    return shortcut + conv(3, kernel_init=XAVIER_RELU, name='conv2')(x, train)


class DiscriminatorBlock(nn.Module):
  """shortcut(x) + conv(relu(conv(relu(x)))), halved where it is to be. There are no norms.

  Attributes:
    features: Channels of the result.
    conv: (features, size, kernel_init, name) -> convolution.
    first: Whether x is an image, on which there is no ReLU, and no narrow layer.
    halves: Whether the map becomes half as large.
  """

  features: int
  conv: Callable[..., nn.Module]
  first: bool = False
  halves: bool = False

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w c'], train: bool = False) -> Float[Array, 'b y x d']:
    shrink = half if self.halves else lambda x: x
    shortcut, hidden = x, self.features if self.first else x.shape[-1]
    if self.halves or x.shape[-1] != self.features:
      shortcut = self.conv(self.features, 1, name='conv_shortcut')(shrink(x), train)
    x = x if self.first else nn.relu(x)
    x = nn.relu(self.conv(hidden, 3, kernel_init=XAVIER_RELU, name='conv1')(x, train))
    x = self.conv(self.features, 3, kernel_init=XAVIER_RELU, name='conv2')(x, train)
    return shortcut + shrink(x)


def told_batchnorm(num_classes: int, dtype: Any, name: str) -> Callable[..., Array]:
  """A batchnorm that is told the classes, of which it takes no notice if there are none.

  Args:
    num_classes: How many there are, or 0.
    dtype: Of the result.
    name: Of the module.

  Returns:
    Called with the map, the label and `train`.
  """
  if num_classes:
    return ConditionalBatchNorm(num_classes, dtype, name=name)
  norm = BatchNorm(dtype=dtype, name=name)
  return lambda x, label, train: norm(x, train)


def double(x: Float[Array, 'b h w c']) -> Float[Array, 'b 2*h 2*w c']:
  """The map at twice its size, bilinear, pixels by their centres."""
  b, h, w, c = x.shape
  return jax.image.resize(x, (b, 2 * h, 2 * w, c), 'bilinear')


def half(x: Float[Array, 'b h w c']) -> Float[Array, 'b h//2 w//2 c']:
  """The map at half its size: the mean of every 2×2 pixels; UserError for an odd side."""
  b, h, w, c = x.shape
  if h % 2 or w % 2:
    raise UserError(f'a map of {h}×{w} pixels cannot be halved: the images have too few')
  return x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))
