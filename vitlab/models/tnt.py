"""TNT, Transformer in Transformer (Han et al. 2021, arXiv:2103.00112).

An image is cut into patches (visual sentences), every patch into pixels (visual words, 4×4 image
pixels each). In every block an inner Transformer mixes the pixels within each patch; what they
have become is projected and added to their patch; an outer Transformer mixes the patches and a
class token, as in ViT. The class token hears of pixels through the patches alone.

In: float images `b h w c`, normalised. Out: float32 logits and a dict of every intermediate.
Loads the TNT checkpoints of timm and of the authors (`vitlab.pretrained.families.tnt`). Their
pixels are those of the original: a patch is cut out first and then convolved, so that no pixel sees
over the edge of its patch (timm's `legacy` models convolve first, and do not load).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vitlab.errors import unknown
from vitlab.layers import pooling
from vitlab.layers.attention import SelfAttention
from vitlab.layers.blocks import Block
from vitlab.layers.choices import check_rates, classifier, compute_dtype, pick_size
from vitlab.layers.dense import Dense, contract
from vitlab.layers.embeddings import LearnedPositions, cut_patches
from vitlab.layers.mlp import make_mlp
from vitlab.layers.norms import make_norm
from vitlab.layers.sharding import apply_split
from vitlab.layers.stack import Stack, check_remat


class Size(NamedTuple):
  width: int
  depth: int
  num_heads: int
  mlp_dim: int
  inner_width: int
  inner_num_heads: int


VARIANTS = {
  'mu': Size(32, 1, 2, 128, 8, 2),  # for tests
  'Ti': Size(192, 12, 3, 768, 12, 2),  # table 2 of the paper
  'S': Size(384, 12, 6, 1536, 24, 4),
  'B': Size(640, 12, 10, 2560, 40, 4),
}
POOLS = {'cls': pooling.class_token, 'gap': pooling.mean}
# Of all matrices, tokens and positions in the authors' code, whatever their fan.
INIT = nn.initializers.normal(0.02)


class PixelEmbed(nn.Module):
  """Patches are cut out, then each is convolved by itself, with zeros around it.

  Attributes:
    width: Of the pixels.
    patch_size: Image pixels, one number or (height, width).
    stride: Image pixels from one pixel to the next.
    dtype: What is computed in.
  """

  width: int
  patch_size: int | tuple[int, int]
  stride: int = 4
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, image: Float[Array, 'b h w c']) -> Float[Array, 'b rows columns y x d']:
    """Embeds pixels; raises UserError if the image is not a whole number of patches."""
    sides = self.patch_size
    sides = (sides, sides) if isinstance(sides, int) else tuple(sides)
    patches = cut_patches(image.astype(self.dtype), sides)
    # The authors have torch's default: uniform within 1 / sqrt(fan in).
    init = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')
    kernel = self.param('kernel', init, (7, 7, image.shape[-1], self.width), jnp.float32)
    bias = self.param('bias', nn.initializers.zeros, (self.width,), jnp.float32)
    # Many tiny maps of few channels: as one matmul four times as fast as XLA:CPU's convolution.
    padded = jnp.pad(patches, [(0, 0)] * 3 + [(3, 3)] * 2 + [(0, 0)])
    y, x = (np.arange(0, side, self.stride)[:, None] + np.arange(7) for side in sides)
    windows = padded[:, :, :, y[:, None, :, None], x[None, :, None, :]]
    x = apply_split(partial(contract, axes=3), windows, kernel.astype(self.dtype))
    return x + bias.astype(self.dtype)


class Projection(nn.Module):
  """All pixels of a patch -> what they say to it: norm2(W · norm1([pixel; pixel; ...])).

  Attributes:
    width: Of the patches.
    norm: Copied to norm1 and norm2.
    use_bias: Whether W has a bias: before the first block only.
    dtype: What is computed in.
  """

  width: int
  norm: nn.Module
  use_bias: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, pixels: Float[Array, 'b g p c']) -> Float[Array, 'b g d']:
    x = self.norm.copy(name='norm1')(pixels.reshape(*pixels.shape[:2], -1))
    x = Dense(self.width, 1, self.use_bias, self.dtype, INIT, name='dense')(x)
    return self.norm.copy(name='norm2')(x)


class TNTBlock(nn.Module):
  """Inner block on the pixels of each patch, pixels added to patches, outer block on patches.

  Attributes:
    inner: The block of the pixels.
    projection: From the pixels of a patch to its token.
    outer: The block of the patches and the tokens before them.
  """

  inner: nn.Module
  projection: nn.Module
  outer: nn.Module

  @nn.compact
  def __call__(
    self,
    x: tuple[Float[Array, 'b g p c'], Float[Array, 'b t d']],
    train: bool = False,
    drop_path_rate: Float[Any, ''] | float | None = None,
  ) -> tuple[tuple[Float[Array, 'b g p c'], Float[Array, 'b t d']], dict[str, Array]]:
    """Applies the block to (pixels, tokens), of which the last g are the patches.

    Returns:
      Both, and what the outer block gives out (see `vitlab.layers.blocks.Block`) beside 'pixels'
      and 'inner_attention', b g n p p.
    """
    pixels, tokens = x
    b, g, p, c = pixels.shape
    flat, inner = self.inner(pixels.reshape(b * g, p, c), train, drop_path_rate)
    pixels = flat.reshape(b, g, p, c)
    tokens = tokens.at[:, -g:].add(self.projection(pixels))
    tokens, out = self.outer(tokens, train, drop_path_rate)
    inner_attention = inner['attention'].reshape(b, g, -1, p, p)
    return (pixels, tokens), out | dict(pixels=pixels, inner_attention=inner_attention)


class TNT(nn.Module):
  """Transformer in Transformer, composed of its parts.

  Attributes:
    pixel_embed: Image -> pixels of every patch.
    pixel_position: Added to the pixels, the same in all patches.
    projection: Pixels -> the first patches.
    position_embedding: Added to the class token and the patches.
    encoder: A `Stack` of `TNTBlock`s.
    norm: After the encoder.
    pool: (tokens, number of tokens before the patches) -> one vector.
    head: That vector -> logits; None: the vector is what comes out.
    dropout_rate: On the embedded tokens.
  """

  pixel_embed: nn.Module
  pixel_position: nn.Module
  projection: nn.Module
  position_embedding: nn.Module
  encoder: nn.Module
  norm: nn.Module
  pool: Callable
  head: nn.Module | None = None
  dropout_rate: float = 0.0

  @nn.compact
  def __call__(
    self, image: Float[Array, 'b h w c'], train: bool = False
  ) -> tuple[Float[Array, 'b classes'], dict[str, Any]]:
    """Classifies images.

    Args:
      image: Normalised images.
      train: Whether dropout and drop-path act, with the rng 'dropout'.

    Returns:
      Logits in at least float32, and every intermediate: 'pixels' (embedded, b g p c for the p
      pixels of g patches), 'embedded' (class token and patches), 'blocks' (a dict a block, see
      `TNTBlock`), 'attention' (outer weights of every block, b n t t), 'inner_attention' (inner
      ones, b g n p p), 'encoded' (the last tokens), 'levels' (the last patches as a map, in a
      list), 'features' (what the head sees), 'logits'. What nobody reads costs nothing in `jit`.
    """
    out = {}
    pixels = self.pixel_embed(image)
    b, *grid, y, x, c = pixels.shape
    pixels = pixels.reshape(b, -1, y * x, c)
    pixels += self.pixel_position((y, x), 0, c).astype(pixels.dtype)
    out['pixels'] = pixels

    patches = self.projection(pixels)
    d = patches.shape[-1]
    cls_token = self.param('cls_token', INIT, (1, d), jnp.float32).astype(patches.dtype)
    tokens = jnp.concatenate([jnp.broadcast_to(cls_token, (b, 1, d)), patches], axis=1)
    tokens += self.position_embedding(tuple(grid), 1, d).astype(tokens.dtype)
    tokens = out['embedded'] = nn.Dropout(self.dropout_rate)(tokens, deterministic=not train)

    (_, tokens), out['blocks'] = self.encoder((pixels, tokens), train)
    for weights in ('attention', 'inner_attention'):
      out[weights] = [block[weights] for block in out['blocks']]
    out['encoded'] = self.norm(tokens)
    out['levels'] = [out['encoded'][:, 1:].reshape(b, *grid, d)]
    features = out['features'] = self.pool(out['encoded'], 1)
    logits = out['logits'] = features if self.head is None else self.head(features)
    return logits, out


def make(
  variant: str = 'S',
  num_classes: int | None = None,
  *,
  patch_size: int | tuple[int, int] = 16,
  inner_stride: int = 4,
  width: int | None = None,
  depth: int | None = None,
  num_heads: int | None = None,
  mlp_dim: int | None = None,
  inner_width: int | None = None,
  inner_num_heads: int | None = None,
  pool: str = 'cls',
  mlp: str = 'gelu',
  norm: str = 'layernorm',
  norm_epsilon: float = 1e-5,
  qkv_bias: bool = False,
  dropout_rate: float = 0.0,
  drop_path_rate: float = 0.0,
  scan: bool = False,
  remat: str = '',
  dtype: str = 'float32',
) -> TNT:
  """Composes a TNT.

  Args:
    variant: A size of `VARIANTS`.
    num_classes: Number of logits; None: the model returns its features.
    patch_size: Image pixels of a patch, one number or height and width.
    inner_stride: Image pixels from one pixel of the model to the next.
    width: Channels of a patch, instead of the variant's.
    depth: Number of blocks, instead of the variant's.
    num_heads: Heads over patches, instead of the variant's.
    mlp_dim: Hidden units of the mlps over patches, instead of the variant's.
    inner_width: Channels of a pixel, instead of the variant's.
    inner_num_heads: Heads over pixels, instead of the variant's.
    pool: 'cls', the class token after the norm, or 'gap', the mean of the patches after it.
    mlp: 'gelu' (exact), 'gelu_tanh', 'relu', 'swish' or 'swiglu', in both Transformers.
    norm: 'layernorm' or 'rmsnorm'.
    norm_epsilon: Added to the variance in the norms.
    qkv_bias: Whether the projections to queries, keys and values have biases.
    dropout_rate: Probability of dropout on patches with positions, on branches and within the mlps.
    drop_path_rate: Probability with which a branch is skipped, rising linearly from 0 to this rate
      at the last block (arXiv:1603.09382); inner branches patch by patch, outer ones image by
      image.
    scan: Whether one block is compiled and looped over: less to compile, never another result.
    remat: What the backward pass keeps of a block, one of `vitlab.layers.stack.REMAT`; '' is
      everything. Less is memory against time, never another result.
    dtype: The type of what is computed, 'bfloat16' or 'float32'. Parameters, norm statistics and
      softmax stay float32.

  Raises:
    UserError: a word or number that cannot be used; lists what is possible.
  """
  check_rates(dropout_rate=dropout_rate, drop_path_rate=drop_path_rate)
  outer = dict(width=width, depth=depth, num_heads=num_heads, mlp_dim=mlp_dim)
  inner = dict(inner_width=inner_width, inner_num_heads=inner_num_heads)
  size, compute = pick_size('TNT', VARIANTS, variant, **outer, **inner), compute_dtype(dtype)
  # New parts at every place: Flax shares the parameters of one module that stands in two.
  new_norm = partial(make_norm, norm, norm_epsilon, compute)
  new_mlp = partial(make_mlp, mlp, dropout_rate=dropout_rate, dtype=compute, kernel_init=INIT)
  new_attention = partial(SelfAttention, qkv_bias=qkv_bias, dtype=compute, kernel_init=INIT)

  def new_block(num_heads, mlp_dim):
    return Block(new_attention(num_heads), new_mlp(mlp_dim), new_norm(), dropout_rate=dropout_rate)

  inner = new_block(size.inner_num_heads, 4 * size.inner_width)
  outer = new_block(size.num_heads, size.mlp_dim)
  block = TNTBlock(inner, Projection(size.width, new_norm(), dtype=compute), outer)
  return TNT(
    PixelEmbed(size.inner_width, patch_size, inner_stride, compute),
    LearnedPositions(stddev=0.02),
    Projection(size.width, new_norm(), use_bias=True, dtype=compute),
    LearnedPositions(prefix=True, stddev=0.02),
    Stack(block, size.depth, drop_path_rate, scan, check_remat(remat)),
    new_norm(),
    _pool(pool),
    classifier(num_classes, compute),
    dropout_rate=dropout_rate,
  )


def _pool(name: str) -> Callable:
  if name not in POOLS:
    raise unknown('pool', name, POOLS)
  return POOLS[name]
