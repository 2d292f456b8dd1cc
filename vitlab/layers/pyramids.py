"""The pyramids of YOLO: fine maps come to know what coarse ones have seen, and the other way.

Down is how all feature pyramids begin (Lin et al. 2016, arXiv:1612.03144); up again is a path
aggregation network (Liu et al. 2018, arXiv:1803.01534). Maps are put beside each other, not added.
"""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vitlab.layers.darknet import Chain, Layers


class TopDown(nn.Module):
  """A pyramid in which each map is mixed with the next coarser one (FPN, as in YOLOv3).

  Attributes:
    reduce: Of the coarser map, before it is doubled in size; from the coarsest on.
    mix: Of both.
  """

  reduce: Sequence[nn.Module]
  mix: Sequence[nn.Module]

  @nn.compact
  def __call__(self, levels: list[Array], train: bool = False) -> list[Array]:
    *finer, x = levels
    maps = [x]
    for level, reduce, mix in zip(finer[::-1], self.reduce, self.mix):
      x = mix(jnp.concatenate([doubled(reduce(x, train)), level], axis=-1), train)
      maps.append(x)
    return maps[::-1]


class TopDownBottomUp(nn.Module):
  """A pyramid down and up again (PAFPN): each map is mixed with the next coarser, then finer one.

  Attributes:
    reduce: Of the coarser map, before it is doubled in size; from the coarsest on.
    mix_down: Of both.
    halve: Of the finer map; from the finest on.
    mix_up: Of that and what `reduce` made of the map of its size.
  """

  reduce: Sequence[nn.Module]
  mix_down: Sequence[nn.Module]
  halve: Sequence[nn.Module]
  mix_up: Sequence[nn.Module]

  @nn.compact
  def __call__(self, levels: list[Array], train: bool = False) -> list[Array]:
    *finer, x = levels
    reduced = []
    for level, reduce, mix in zip(finer[::-1], self.reduce, self.mix_down):
      x = reduce(x, train)
      reduced.append(x)
      x = mix(jnp.concatenate([doubled(x), level], axis=-1), train)
    maps = [x]
    for coarser, halve, mix in zip(reduced[::-1], self.halve, self.mix_up):
      x = mix(jnp.concatenate([halve(x, train), coarser], axis=-1), train)
      maps.append(x)
    return maps


def doubled(x: Float[Array, 'b h w c']) -> Float[Array, 'b y x c']:
  """Every pixel four times (nearest neighbour)."""
  return x.repeat(2, axis=1).repeat(2, axis=2)


def path_aggregation(layers: Layers, width: int, depth: int) -> TopDownBottomUp:
  """The pyramid of YOLOX over the three coarsest maps of `csp_darknet`."""
  fine, middle, coarse = (width * factor for factor in (4, 8, 16))
  mix = partial(layers.cross_stage, depth=depth, add=False)
  return TopDownBottomUp(
    [layers.conv(middle), layers.conv(fine)],
    [mix(middle), mix(fine)],
    [layers.spatial(fine, fine, stride=2), layers.spatial(middle, middle, stride=2)],
    [mix(middle), mix(coarse)],
  )


def top_down(layers: Layers, width: int) -> TopDown:
  """The pyramid of YOLOv3 over the three coarsest maps of five stages of `darknet`."""
  middle, fine = 8 * width, 4 * width
  return TopDown(
    [layers.conv(middle), layers.conv(fine)],
    [Chain(layers.embedding(middle)), Chain(layers.embedding(fine))],
  )
