"""SAGAN: two networks at play, in which distant pixels agree (Zhang et al. 2018, arXiv:1805.08318).

A generator turns noise into images, a discriminator scores images: high is real. Both are ResNets
of 3×3 convolutions, which see a few pixels far; in each, one layer of self-attention lets every
pixel of a middle map look at all others. Every kernel of both is spectrally normalised. A class
comes in by the scales and biases of the generator's batchnorms, and in the discriminator by an
inner product with the features (a projection, Miyato and Koyama 2018, arXiv:1802.05637).

  noise ─ 4×4 map ─ blocks that double it, attention behind one ─ norm, ReLU, 3×3, tanh ─ image
  image ─ blocks that halve it, attention behind one ─ ReLU, sum over all pixels ─ score

Attention is that of the authors' released code, which is not that of the paper's text. Widths,
blocks and initial kernels are mimicry's (github.com/kwotsin/mimicry).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vitlab.errors import UserError
from vitlab.layers.choices import compute_dtype, pick_size
from vitlab.layers.conv import max_pool
from vitlab.layers.gan_blocks import DiscriminatorBlock, GeneratorBlock, told_batchnorm
from vitlab.layers.norms import BatchNorm
from vitlab.layers.sharding import constrain_batch
from vitlab.layers.spectral import SpectralConv, SpectralDense, SpectralEmbed
from vitlab.ops.attention import attend, attention_weights
from vitlab.ops.precision import wide

Out = dict[str, Any]
Label = Int[Array, ' b'] | None
Blocks = tuple[int, ...]  # their numbers


class Size(NamedTuple):
  width: int  # channels, by which the next two count
  generator: tuple[int, ...]  # of the first map, and behind each block
  discriminator: tuple[int, ...]  # behind each block
  halvings: int  # how many of the discriminator's blocks, the first ones, halve the map
  attention: tuple[Blocks, Blocks]  # behind which generator and discriminator have attention


VARIANTS = {
  'mu': Size(8, (1, 1), (1, 1, 1), 1, ((0,), (0,))),  # for tests: 8 pixels
  '8': Size(64, (2, 2), (1, 1, 1), 1, ((0,), (0,))),  # 8 and 16: as 32, with fewer blocks
  '16': Size(64, (2, 2, 2), (1, 1, 1, 1), 2, ((0,), (0,))),
  '32': Size(128, (2, 2, 2, 2), (1, 1, 1, 1), 2, ((1,), (1,))),
  '64': Size(64, (16, 8, 4, 2, 1), (1, 2, 4, 8, 16), 5, ((2,), (0,))),  # SNGAN's, with attention
  '128': Size(64, (16, 16, 8, 4, 2, 1), (1, 2, 4, 8, 16, 16), 5, ((2,), (1,))),  # the paper's
}


class Attention(nn.Module):
  """x + γ · attention in x: every pixel looks at the whole map. γ starts at 0.

  In four ways it is not the attention of Transformers: one head, its queries and keys an eighth as
  wide as the map and its values half; of keys and values the largest of 2×2 pixels each, so that
  there are a quarter as many; no factor 1 / sqrt(width) on the logits; no biases.

  Attributes:
    dense: (features, use_bias, name) -> 1×1 convolution.
  """

  dense: Callable[..., nn.Module]

  @nn.compact
  def __call__(
    self, x: Float[Array, 'b h w c'], train: bool = False
  ) -> tuple[Float[Array, 'b h w c'], Float[Array, 'b 1 t s']]:
    """The map, and how much every pixel t looks at every group s of four; 8 channels at least."""
    c = x.shape[-1]
    if c < 8:
      raise UserError(f'SAGAN attends in a map of {c} channels, 8 are needed: raise model.width')

    def project(name: str, width: int, x: Float[Array, 'b h w i']) -> Float[Array, 'b h w o']:
      return self.dense(width, use_bias=False, name=name)(x, train)

    q = _tokens(project('query', c // 8, x))
    k = _tokens(max_pool(project('key', c // 8, x), 2, 2))
    v = _tokens(max_pool(project('value', c // 2, x), 2, 2))
    mixed = attend(q, k, v, scale=1.0).reshape(*x.shape[:-1], c // 2)
    gamma = self.param('gamma', nn.initializers.zeros, (), jnp.float32).astype(x.dtype)
    return x + gamma * project('output', c, mixed), attention_weights(q, k, scale=1.0)


class Generator(nn.Module):
  """Noise and a class -> an image.

  Attributes:
    widths: Channels of the first map, and behind every block.
    attention: Numbers of the blocks behind which there is attention.
    channels: Of the image.
    bottom: Size of the first map.
    conv: (features, size, kernel_init, name) -> convolution.
    dense: (features, use_bias, name) -> map of the last axis.
    norm: (name) -> norm, called with the map, the label and `train`.
  """

  widths: tuple[int, ...]
  attention: Blocks
  channels: int
  bottom: int
  conv: Callable[..., nn.Module]
  dense: Callable[..., nn.Module]
  norm: Callable[..., Callable]

  @nn.compact
  def __call__(
    self, noise: Float[Array, 'b z'], label: Label = None, train: bool = False
  ) -> tuple[Float[Array, 'b h w c'], Out]:
    """Draws images.

    Args:
      noise: Normal numbers.
      label: Class of each image; None: an unconditional model has none.
      train: Whether the batchnorms use the batch, and they and the spectral vectors move.

    Returns:
      Images in [-1, 1], at least float32, and every intermediate: 'blocks' (a dict a block with
      'features', its map), 'attention' (the weights b 1 t s of every attention).
    """
    out = dict(blocks=[], attention=[])
    first, *widths = self.widths
    x = self.dense((self.bottom, self.bottom, first), name='projection')(noise, train)
    for i, width in enumerate(widths):
      block = GeneratorBlock(width, self.conv, self.norm, name=f'block_{i}')
      x = constrain_batch(block(x, label, train))
      if i in self.attention:
        x, weights = Attention(self.dense, name=f'attention_{i}')(x, train)
        out['attention'].append(weights)
      out['blocks'].append(dict(features=x))
    x = nn.relu(BatchNorm(dtype=x.dtype, name='norm')(x, train))
    x = self.conv(self.channels, 3, name='image_head')(x, train)
    return jnp.tanh(wide(x)), out


class Discriminator(nn.Module):
  """An image and a class -> a score: high is real, and of that class.

  Attributes:
    widths: Channels behind every block.
    halvings: How many blocks, the first ones, halve the map.
    attention: Numbers of the blocks behind which there is attention.
    num_classes: How many there are; 0: scores do not depend on a class.
    conv: (features, size, kernel_init, name) -> convolution.
    dense: (features, use_bias, name) -> map of the last axis.
    embed: (num_classes, width, name) -> vectors of classes.
  """

  widths: tuple[int, ...]
  halvings: int
  attention: Blocks
  num_classes: int
  conv: Callable[..., nn.Module]
  dense: Callable[..., nn.Module]
  embed: Callable[..., nn.Module]

  @nn.compact
  def __call__(
    self, image: Float[Array, 'b h w c'], label: Label = None, train: bool = False
  ) -> tuple[Float[Array, ' b'], Out]:
    """Scores images.

    Args:
      image: Images in [-1, 1].
      label: Class of each image; None: an unconditional model has none.
      train: Whether the spectral vectors move.

    Returns:
      Scores, at least float32, and every intermediate: 'blocks' (a dict a block with 'features',
      its map), 'attention' (the weights b 1 t s of every attention), 'features' (what is scored).
    """
    out, x = dict(blocks=[], attention=[]), image
    for i, width in enumerate(self.widths):
      block = DiscriminatorBlock(width, self.conv, i == 0, i < self.halvings, name=f'block_{i}')
      x = constrain_batch(block(x, train))
      if i in self.attention:
        x, weights = Attention(self.dense, name=f'attention_{i}')(x, train)
        out['attention'].append(weights)
      out['blocks'].append(dict(features=x))
    features = out['features'] = wide(nn.relu(x)).sum((1, 2))
    score = self.dense(1, name='score_head')(features, train)[:, 0]
    if self.num_classes:
      goes_with = self.embed(self.num_classes, features.shape[-1], name='class_embed')(label, train)
      score += jnp.einsum('bd,bd->b', goes_with, features)
    return score, out


class SAGAN(nn.Module):
  """The two players, who share nothing but what they are made of.

  Attributes:
    size: Of both.
    num_classes: How many there are; 0: images are drawn and scored without one.
    noise_width: How many numbers an image is drawn from.
    channels: Of the images.
    bottom: Size of the generator's first map.
    through_vectors: As of `vitlab.layers.spectral.SpectralDense`.
    dtype: What is computed in.
  """

  size: Size
  num_classes: int
  noise_width: int
  channels: int
  bottom: int
  through_vectors: bool
  dtype: Any

  @property
  def image_size(self) -> int:
    """Pixels a side of the images that the generator draws."""
    return self.bottom * 2 ** (len(self.size.generator) - 1)

  def generator(self) -> Generator:
    """The player that draws; a module of its own."""
    widths = tuple(self.size.width * factor for factor in self.size.generator)
    numbers = widths, self.size.attention[0], self.channels, self.bottom
    norm = partial(told_batchnorm, self.num_classes, self.dtype)
    layers = map(self._spectral, (SpectralConv, SpectralDense))
    return Generator(*numbers, *layers, norm, parent=None)

  def discriminator(self) -> Discriminator:
    """The player that scores; a module of its own."""
    widths = tuple(self.size.width * factor for factor in self.size.discriminator)
    numbers = widths, self.size.halvings, self.size.attention[1], self.num_classes
    layers = map(self._spectral, (SpectralConv, SpectralDense, SpectralEmbed))
    return Discriminator(*numbers, *layers, parent=None)

  def attending(self, sides: Sequence[int]) -> 'SAGAN':
    """The same players, who attend in their first maps of these sides; UserError: none has one."""
    made = [self.bottom * 2**i for i in range(1, len(self.size.generator))]
    seen = [self.image_size // 2**i for i in range(1, self.size.halvings + 1)]
    for side in sides:
      if side not in made + seen:
        raise UserError(
          f'SAGAN: attention={tuple(sides)}, but there is no map of {side}×{side} pixels'
          f'\nthe generator has maps of {made}, the discriminator of {seen}'
        )
    behind = tuple(tuple(maps.index(s) for s in sides if s in maps) for maps in (made, seen))
    return self.clone(size=self.size._replace(attention=behind))

  def _spectral(self, layer: type[nn.Module]) -> Callable[..., nn.Module]:
    return partial(layer, through_vectors=self.through_vectors, dtype=self.dtype)


def make(
  variant: str = '32',
  num_classes: int | None = None,
  *,
  image: Mapping[str, Any] | None = None,
  width: int | None = None,
  noise_width: int = 128,
  attention: Sequence[int] | None = None,
  bottom: int = 4,
  through_vectors: bool = False,
  dtype: str = 'float32',
) -> SAGAN:
  """Composes both players.

  Args:
    variant: A size of `VARIANTS`, named after its images.
    num_classes: Number of classes; None or 0: images are drawn and scored without one.
    image: The fact of this name of the data: 'image_size' (height, width), which has to be the
      variant's, and 'channels'; None: three channels.
    width: Channels by which those of both players count, instead of the variant's.
    noise_width: How many numbers an image is drawn from.
    attention: Sides of the maps that the players attend in, if they have them; None: the variant's.
    bottom: Size of the generator's first map: 7 instead of 4 makes images of 28 pixels of '16'.
    through_vectors: Whether gradients flow through the power iteration of the spectral norms, as in
      the TensorFlow release.
    dtype: The type of what is computed, 'bfloat16' or 'float32'. Parameters, statistics, spectral
      vectors and softmax stay float32.

  Raises:
    UserError: a word or number that cannot be used; lists what is possible.
  """
  for name, number in dict(bottom=bottom, noise_width=noise_width).items():
    if number < 1:
      raise UserError(f'SAGAN: {name}={number} needs to be 1 or more')
  size = pick_size('SAGAN', VARIANTS, variant, width=width)
  numbers = num_classes or 0, noise_width, 3 if image is None else image['channels'], bottom
  model = SAGAN(size, *numbers, through_vectors, compute_dtype(dtype))
  side = model.image_size
  if image is not None and tuple(image['image_size']) != (side, side):
    given = '×'.join(map(str, image['image_size']))
    raise UserError(
      f'SAGAN {variant!r} draws {side}×{side} pixels, the data have {given}'
      f'\nset data.image_size={side}, or take another variant of {", ".join(VARIANTS)}'
    )
  return model if attention is None else model.attending(attention)


def _tokens(x: Float[Array, 'b h w k']) -> Float[Array, 'b 1 t k']:
  """Pixels, row by row, for the one head that there is."""
  return x.reshape(x.shape[0], 1, -1, x.shape[-1])
