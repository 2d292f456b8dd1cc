"""Darknet and its successor: what YOLO sees pictures with.

Darknet-53 (Redmon and Farhadi 2018, arXiv:1804.02767, table 1) is a ResNet without pooling: blocks
of a 1×1 and a 3×3 convolution that add to their input, and convolutions of stride 2 between them.
CSPDarknet (arXiv:1911.11929, arXiv:2004.10934) lets half of the channels by-pass the blocks.

Modules say how maps flow; the functions below them say of which sizes the layers are.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vitlab.layers.conv import Conv, ConvNormAct, max_pool
from vitlab.layers.sharding import constrain_batch

Map = Float[Array, 'b h w c']


class Chain(nn.Module):
  """One layer after the other.

  Attributes:
    layers: Each (map, train) -> map.
  """

  layers: Sequence[nn.Module]

  @nn.compact
  def __call__(self, x: Map, train: bool = False) -> Float[Array, 'b y x d']:
    for layer in self.layers:
      x = layer(x, train)
    return x


class Separable(nn.Module):
  """A convolution in two (arXiv:1704.04861): every channel by itself, then every pixel.

  Attributes:
    depthwise: The former.
    pointwise: The latter.
  """

  depthwise: nn.Module
  pointwise: nn.Module

  @nn.compact
  def __call__(self, x: Map, train: bool = False) -> Float[Array, 'b y x d']:
    return self.pointwise(self.depthwise(x, train), train)


class Bottleneck(nn.Module):
  """x + expand(reduce(x)).

  Attributes:
    reduce: To fewer channels, pixel by pixel.
    expand: Over neighbouring pixels.
    add: Whether x is added.
  """

  reduce: nn.Module
  expand: nn.Module
  add: bool = True

  @nn.compact
  def __call__(self, x: Map, train: bool = False) -> Map:
    y = self.expand(self.reduce(x, train), train)
    return x + y if self.add else y


class CrossStage(nn.Module):
  """Blocks for one half of the channels, nothing for the other (CSP, arXiv:1911.11929).

  Attributes:
    enter: The half that the blocks see.
    bypass: The other one.
    blocks: Each (map, train) -> map.
    merge: Of both halves.
  """

  enter: nn.Module
  bypass: nn.Module
  blocks: Sequence[nn.Module]
  merge: nn.Module

  @nn.compact
  def __call__(self, x: Map, train: bool = False) -> Float[Array, 'b h w d']:
    y = self.enter(x, train)
    for block in self.blocks:
      y = block(y, train)
    return self.merge(jnp.concatenate([y, self.bypass(x, train)], axis=-1), train)


class SpatialPyramidPooling(nn.Module):
  """The largest values within 5×5, 9×9 and 13×13 pixels beside each pixel (arXiv:1903.08589).

  Attributes:
    enter: To half of the channels.
    leave: Of the map and its three pooled ones.
  """

  enter: nn.Module
  leave: nn.Module

  @nn.compact
  def __call__(self, x: Map, train: bool = False) -> Float[Array, 'b h w d']:
    maps = [self.enter(x, train)]
    for _ in range(3):  # the largest within 5×5 of the largest within 5×5 is that within 9×9
      maps.append(max_pool(maps[-1], 5, 1))
    return self.leave(jnp.concatenate(maps, axis=-1), train)


class Focus(nn.Module):
  """Every 2×2 pixels become one with four times the channels, of which `conv` sees 3×3.

  Attributes:
    conv: (map, train) -> map.
  """

  conv: nn.Module

  @nn.compact
  def __call__(self, x: Map, train: bool = False) -> Float[Array, 'b y x d']:
    b, h, w, c = x.shape
    # Of the four pixels the lower left one is second: x is the slower axis.
    pixels = jnp.einsum('bhywxc->bhwxyc', x.reshape(b, h // 2, 2, w // 2, 2, c))
    return self.conv(pixels.reshape(b, h // 2, w // 2, 4 * c), train)


class Backbone(nn.Module):
  """The maps after every stage, from fine to coarse.

  Attributes:
    stem: (image, train) -> map.
    stages: Each (map, train) -> map of half the height and width.
  """

  stem: nn.Module
  stages: Sequence[nn.Module]

  @nn.compact
  def __call__(self, image: Map, train: bool = False) -> list[Array]:
    x, levels = constrain_batch(self.stem(image, train)), []
    for i, stage in enumerate(self.stages):
      x = constrain_batch(stage.copy(name=f'stage_{i}')(x, train))
      levels.append(x)
    return levels


def leaky_relu(x: Array) -> Array:
  """x, a tenth of it below zero: Darknet's activation."""
  return nn.leaky_relu(x, 0.1)


def padded(x: Map, stride: int) -> Float[Array, 'b y x c']:
  """Zeros below and to the right, up to sides that the stride divides."""
  rows, columns = (-n % stride for n in x.shape[1:3])
  return jnp.pad(x, ((0, 0), (0, rows), (0, columns), (0, 0)))


class Layers(NamedTuple):
  """How the layers of one model are made; all are activation(norm(conv(x))).

  Attributes:
    norm: () -> norm of maps.
    activation: Elementwise function.
    depthwise: Whether `spatial` convolves channels by themselves.
    dtype: What is computed in.
  """

  norm: Callable[[], nn.Module]
  activation: Callable[[Array], Array]
  depthwise: bool
  dtype: jnp.dtype

  def conv(self, channels: int, size: int = 1, stride: int = 1, groups: int = 1) -> ConvNormAct:
    """A convolution to so many channels."""
    conv = Conv(channels, size, stride, groups, dtype=self.dtype)
    return ConvNormAct(conv, self.norm(), self.activation)

  def spatial(self, inputs: int, channels: int, stride: int = 1) -> nn.Module:
    """3×3 from so many channels to so many."""
    if not self.depthwise:
      return self.conv(channels, 3, stride)
    return Separable(self.conv(inputs, 3, stride, groups=inputs), self.conv(channels))

  def cross_stage(self, channels: int, depth: int, add: bool = True) -> CrossStage:
    """The C3 layer of YOLOv5 and YOLOX with so many blocks."""
    half = channels // 2
    blocks = [Bottleneck(self.conv(half), self.spatial(half, half), add) for _ in range(depth)]
    return CrossStage(self.conv(half), self.conv(half), blocks, self.conv(channels))

  def pooling(self, inputs: int, channels: int) -> SpatialPyramidPooling:
    """Spatial pyramid pooling from so many channels to so many."""
    return SpatialPyramidPooling(self.conv(inputs // 2), self.conv(channels))

  def embedding(self, channels: int, spp: bool = False) -> list[nn.Module]:
    """The five convolutions before a head of YOLOv3; with `spp` the third one sees pooled maps."""
    narrow, wide = partial(self.conv, channels), partial(self.conv, 2 * channels, 3)
    middle = self.pooling(2 * channels, channels) if spp else narrow()
    return [narrow(), wide(), middle, wide(), narrow()]


def csp_darknet(layers: Layers, width: int, depths: Sequence[int]) -> Backbone:
  """CSPDarknet of YOLOX, which begins with 2×2 pixels: four stages end at 32 pixels.

  Args:
    layers: How they are made.
    width: Channels of the stem; every stage doubles them.
    depths: Blocks of each stage. Those of the last one, which sees pooled maps, add nothing.
  """
  stages = []
  for i, depth in enumerate(depths):
    channels, last = width * 2 ** (i + 1), i == len(depths) - 1
    halve = layers.spatial(channels // 2, channels, stride=2)
    pool = [layers.pooling(channels, channels)] if last else []
    stages.append(Chain([halve, *pool, layers.cross_stage(channels, depth, add=not last)]))
  return Backbone(Focus(layers.conv(width, 3)), stages)


def darknet(layers: Layers, width: int, depths: Sequence[int], spp: bool = False) -> Backbone:
  """Darknet as YOLOv3 has it, the first head's five convolutions included: five stages end at 32.

  Args:
    layers: How they are made.
    width: Channels of the stem; every stage doubles them.
    depths: Residual blocks of each stage.
    spp: Whether these five see pooled maps.
  """
  stages = []
  for i, depth in enumerate(depths):
    channels = width * 2 ** (i + 1)
    blocks = [
      Bottleneck(layers.conv(channels // 2), layers.conv(channels, 3)) for _ in range(depth)
    ]
    end = layers.embedding(channels // 2, spp) if i == len(depths) - 1 else []
    stages.append(Chain([layers.conv(channels, 3, 2), *blocks, *end]))
  return Backbone(layers.conv(width, 3), stages)
