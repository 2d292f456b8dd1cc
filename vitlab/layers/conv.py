"""Convolution and pooling of feature maps b h w c."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vitlab.errors import unknown
from vitlab.layers.dense import contract
from vitlab.layers.sharding import apply_split
from vitlab.ops.convolution import convolution

PADDINGS = ('symmetric', 'same')
# He et al. 2015, arXiv:1502.01852, section 2.2: keeps the variance of what flows backwards.
HE_NORMAL = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')


class Conv(nn.Module):
  """Convolution with a kernel [y, x, i / groups, o].

  Attributes:
    features: Channels of the result.
    size: Of the kernel, in pixels; two numbers for one that is not square.
    stride: In pixels.
    groups: Of channels that do not see each other.
    use_bias: Whether there is a bias; a norm that follows has one of its own.
    padding: 'symmetric' puts (size - 1) // 2 zeros on every side, times the dilation, as torch's
      models do; 'same' what makes ceil(h / stride) rows, the odd one at the end, as TensorFlow
      does. They differ only if the stride is not 1. 'none' puts no zeros.
    dilation: Distance of two neighbours in the kernel, in pixels: 2 sees as far as a kernel of
      twice the size (Yu and Koltun 2015, arXiv:1511.07122).
    standardize: Whether every filter is used with mean 0 and variance 1 (weight standardisation,
      Qiao et al. 2019, arXiv:1903.10520).
    kernel_init: Initialiser of the kernel.
    dtype: What is computed in; parameters are float32.
  """

  features: int
  size: int | tuple[int, int] = 3
  stride: int = 1
  groups: int = 1
  use_bias: bool = False
  padding: str = 'symmetric'
  dilation: int = 1
  standardize: bool = False
  kernel_init: Callable = HE_NORMAL
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w i']) -> Float[Array, 'b y x o']:
    """Convolves; raises UserError for a padding that does not exist."""
    shape = (*_pair(self.size), x.shape[-1] // self.groups, self.features)
    kernel = self.param('kernel', self.kernel_init, shape, jnp.float32)
    if self.standardize:
      kernel = standardized(kernel)
    x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
    options = dict(stride=self.stride, groups=self.groups, padding=self.padding)
    options |= dict(dilation=self.dilation)
    y = apply_split(partial(convolve, **options), x, kernel)
    if self.use_bias:
      bias = self.param('bias', nn.initializers.zeros, (self.features,), jnp.float32)
      y += bias.astype(self.dtype)
    return y


class ConvNormAct(nn.Module):
  """activation(norm(conv(x))).

  Attributes:
    conv: The convolution.
    norm: Called with the map and `train`.
    activation: Elementwise function.
  """

  conv: nn.Module
  norm: nn.Module
  activation: Callable = nn.relu

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w c'], train: bool = False) -> Float[Array, 'b y x d']:
    return self.activation(self.norm(self.conv(x), train))


def convolve(
  x: Float[Array, 'b h w i'],
  kernel: Float[Array, 'y x j o'],
  stride: int = 1,
  groups: int = 1,
  padding: str = 'symmetric',
  dilation: int = 1,
) -> Float[Array, 'b rows columns o']:
  """The convolution of `Conv`."""
  height, width = ((side - 1) * dilation + 1 for side in kernel.shape[:2])
  pads = _padding(x.shape[1:3], (height, width), stride, padding)
  if kernel.shape[:2] == (1, 1) and groups == 1:
    # A matmul of pixels: XLA:CPU differentiates it two to four times as fast as a convolution.
    return contract(x[:, ::stride, ::stride], kernel[0, 0])
  return convolution(x, kernel, stride, pads, dilation, groups)


def standardized(kernel: Float[Array, 'y x i o'], epsilon: float = 1e-6) -> Float[Array, 'y x i o']:
  """(kernel - mean) / sqrt(variance + epsilon) over all but the filters o; BiT's epsilon."""
  kernel -= kernel.mean((0, 1, 2))
  return kernel * jax.lax.rsqrt(jnp.square(kernel).mean((0, 1, 2)) + epsilon)


def max_pool(
  x: Float[Array, 'b h w c'], size: int, stride: int, padding: str = 'symmetric'
) -> Float[Array, 'b y x c']:
  """The largest value in each window, padding excepted; pads as `Conv` does.

  A maximum of shifted maps: the gradient of XLA's own windows takes ten times as long on CPU. Equal
  largest values share the gradient, of which torch gives all to the first.
  """
  pads = _padding(x.shape[1:3], size, stride, padding)
  x = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=-np.inf)
  rows, columns = ((n - size) // stride * stride + 1 for n in x.shape[1:3])
  largest = None
  for i in range(size):
    for j in range(size):
      shifted = x[:, i : i + rows : stride, j : j + columns : stride]
      largest = shifted if largest is None else jnp.maximum(largest, shifted)
  return largest


def window_mean(
  x: Float[Array, 'b h w c'], size: int = 3, count_padding: bool = True
) -> Float[Array, 'b h w c']:
  """The mean over the window around every pixel (average pooling of stride 1), zeros at the edge.

  Args:
    x: Of any size.
    size: Of the window, in pixels.
    count_padding: Whether the zeros count, as in torch; TensorFlow takes the mean of what is there.
  """

  def total(x: Array) -> Array:
    window = (1, size, size, 1)
    return jax.lax.reduce_window(x, np.zeros((), x.dtype), jax.lax.add, window, (1,) * 4, 'SAME')

  ones = jnp.ones((1, *x.shape[1:3], 1), x.dtype)
  return total(x) / (size**2 if count_padding else total(ones))


def mean_pool(x: Float[Array, 'b h w c']) -> Float[Array, 'b c']:
  """The mean over the map (global average pooling), taken in at least float32."""
  return x.mean((1, 2), dtype=jnp.promote_types(x.dtype, jnp.float32)).astype(x.dtype)


def check_padding(name: str) -> str:
  """The name, if it is that of a padding; else UserError lists them."""
  if name not in PADDINGS:
    raise unknown('padding', name, PADDINGS)
  return name


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
  return (size, size) if isinstance(size, int) else size


def _padding(
  sides: tuple[int, int], size: int | tuple[int, int], stride: int, padding: str
) -> list[tuple[int, int]]:
  """Pixels before and after, for height and width."""
  if padding == 'none':
    return [(0, 0), (0, 0)]
  sizes = _pair(size)
  if check_padding(padding) == 'symmetric':
    return [((size - 1) // 2,) * 2 for size in sizes]
  totals = [max((-(-n // stride) - 1) * stride + size - n, 0) for n, size in zip(sides, sizes)]
  return [(total // 2, total - total // 2) for total in totals]
