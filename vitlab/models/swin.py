"""Swin Transformer: a pyramid of maps whose tokens attend within windows that shift.

Version 1: Liu et al. 2021, arXiv:2103.14030; version 2: Liu et al. 2022, arXiv:2111.09883. Patches
of 4×4 pixels are embedded; every stage halves the map, doubles the width (patch merging) and
applies blocks whose windows lie in place and shifted by half a window, in turn; the mean of the
last map is classified. Version 2 attends by cosines, has norms at the end of the residual branches
and computes the position bias from log-spaced offsets.

In: float images `b h w c`, normalised, of any size. Out: float32 logits and a dict of every
intermediate. Loads the Swin checkpoints of timm and Hugging Face
(`vitlab.pretrained.families.swin`).

Maps that are no whole number of windows are padded, and images that are no whole number of patches
or maps of odd size likewise; a map no larger than a window is one. The position bias of version 1
is a table that is as large as the largest window the model was initialised with.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vitlab.errors import UserError
from vitlab.layers import pooling
from vitlab.layers.attention import CosineAttention, SelfAttention
from vitlab.layers.blocks import Block
from vitlab.layers.choices import check_rates, classifier, compute_dtype, pick_size
from vitlab.layers.dense import Dense
from vitlab.layers.embeddings import PatchEmbed
from vitlab.layers.mlp import make_mlp
from vitlab.layers.norms import make_norm
from vitlab.layers.stack import Stack, check_remat
from vitlab.layers.window_attention import (
  ContinuousPositionBias,
  RelativePositionBias,
  WindowAttention,
)
from vitlab.ops.windows import pad_to_multiple


class Size(NamedTuple):
  width: int
  depths: tuple[int, ...]
  num_heads: tuple[int, ...]
  window_size: int
  version: int


VARIANTS = {
  'mu': Size(16, (2, 2), (2, 4), 4, 1),  # for tests
  'T': Size(96, (2, 2, 6, 2), (3, 6, 12, 24), 7, 1),  # arXiv:2103.14030, section 3.3 and table 7
  'S': Size(96, (2, 2, 18, 2), (3, 6, 12, 24), 7, 1),
  'B': Size(128, (2, 2, 18, 2), (4, 8, 16, 32), 7, 1),  # at 384 pixels: window_size=12
  'L': Size(192, (2, 2, 18, 2), (6, 12, 24, 48), 7, 1),  # likewise
  'V2-mu': Size(16, (2, 2), (2, 4), 4, 2),  # for tests
  'V2-T': Size(96, (2, 2, 6, 2), (3, 6, 12, 24), 8, 2),  # arXiv:2111.09883, section 3.5; at 256
  'V2-S': Size(96, (2, 2, 18, 2), (3, 6, 12, 24), 8, 2),  # pixels, with window_size=16 as well
  'V2-B': Size(128, (2, 2, 18, 2), (4, 8, 16, 32), 8, 2),
  'V2-L': Size(192, (2, 2, 18, 2), (6, 12, 24, 48), 12, 2),  # at 192 pixels
}

# Of every matrix, as in the paper's code.
INIT = nn.initializers.normal(0.02)


class PatchMerging(nn.Module):
  """Halves a map and doubles its width: a matrix of every 2×2 neighbours.

  Attributes:
    norm: Of the four together before the matrix (version 1), or of what it makes (version 2).
    norm_after: Whether the norm comes after the matrix instead of before.
    dtype: What is computed in.
  """

  norm: nn.Module
  norm_after: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w d']) -> Float[Array, 'b h2 w2 d2']:
    x = pad_to_multiple(x, 2, 2)
    b, h, w, d = x.shape
    # Neighbours one below the other come first: [0, 0], [1, 0], [0, 1], [1, 1].
    x = jnp.einsum('brycxd->brcxyd', x.reshape(b, h // 2, 2, w // 2, 2, d))
    x = x.reshape(b, h // 2, w // 2, 4 * d)
    x = x if self.norm_after else self.norm(x)
    x = Dense(2 * d, use_bias=False, dtype=self.dtype, kernel_init=INIT, name='reduction')(x)
    return self.norm(x) if self.norm_after else x


class Swin(nn.Module):
  """Swin Transformer, composed of its parts.

  Attributes:
    patch_embed: Image -> map of tokens.
    patch_norm: After it.
    stages: Stacks of blocks, one a stage.
    merging: Between two stages.
    norm: After the last stage.
    head: Mean token -> logits; None: the mean is what comes out.
    dropout_rate: On the embedded tokens.
  """

  patch_embed: PatchEmbed
  patch_norm: nn.Module
  stages: Sequence[Stack]
  merging: PatchMerging
  norm: nn.Module
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
      Logits in at least float32, and every intermediate: 'embedded' (the map of patches), 'blocks'
      (a dict a block, see `vitlab.layers.blocks.Block`; its tokens are maps), 'attention' (the
      weights of every block, b g n t s, in its g windows), 'levels' (the map after every stage),
      'encoded' (the last one, normed), 'features' (what the head sees), 'logits'. What nobody reads
      costs nothing inside `jit`.
    """
    out = {'blocks': [], 'levels': []}
    x = self.patch_embed(pad_to_multiple(image, *self.patch_embed.patch_size))
    x = self.patch_norm(x)
    x = out['embedded'] = nn.Dropout(self.dropout_rate)(x, deterministic=not train)
    for i, stage in enumerate(self.stages):
      if i:
        x = self.merging.copy(name=f'merging_{i}')(x)
      x, blocks = stage.copy(name=f'stage_{i}')(x, train)
      out['blocks'] += blocks
      out['levels'].append(x)
    out['attention'] = [block['attention'] for block in out['blocks']]
    x = out['encoded'] = self.norm(x)
    features = out['features'] = pooling.mean(x.reshape(x.shape[0], -1, x.shape[-1]), 0)
    logits = out['logits'] = features if self.head is None else self.head(features)
    return logits, out


def make(
  variant: str = 'T',
  num_classes: int | None = None,
  *,
  window_size: int | None = None,
  patch_size: int = 4,
  width: int | None = None,
  depths: Sequence[int] | None = None,
  num_heads: Sequence[int] | None = None,
  mlp_ratio: float = 4.0,
  pretrained_window_sizes: Sequence[int] | None = None,
  norm_epsilon: float = 1e-5,
  dropout_rate: float = 0.0,
  drop_path_rate: float = 0.0,
  scan: bool = False,
  remat: str = '',
  dtype: str = 'float32',
) -> Swin:
  """Composes a Swin.

  Args:
    variant: A size of `VARIANTS`.
    num_classes: Number of logits; None: the model returns its features.
    window_size: Tokens along a side of a window, instead of the variant's.
    patch_size: Pixels along a side of a patch.
    width: Channels of the first stage, instead of the variant's.
    depths: Blocks of each stage, instead of the variant's.
    num_heads: Heads of each stage, instead of the variant's.
    mlp_ratio: Hidden units of the mlps for each channel of the tokens.
    pretrained_window_sizes: For version 2 with weights that saw other windows: their window size in
      each stage, so that offsets keep the bias that they learned.
    norm_epsilon: Added to the variance in the norms: 1e-5 in all published ones.
    dropout_rate: Probability of dropout on tokens, on branches and within the mlps.
    drop_path_rate: Probability with which a branch is skipped, rising linearly from 0 to this rate
      at the last block (arXiv:1603.09382).
    scan: Whether one block is compiled and looped over: less to compile, never another result.
    remat: What the backward pass keeps of a block, one of `vitlab.layers.stack.REMAT`; '' is
      everything. Less is memory against time, never another result.
    dtype: The type of what is computed, 'bfloat16' or 'float32'. Parameters, norm statistics and
      softmax stay float32.

  Raises:
    UserError: a word or number that cannot be used; lists what is possible.
  """
  check_rates(dropout_rate=dropout_rate, drop_path_rate=drop_path_rate)
  sizes = dict(width=width, depths=depths, num_heads=num_heads, window_size=window_size)
  size = pick_size('Swin', VARIANTS, variant, **sizes)
  pretrained = tuple(pretrained_window_sizes or (0,) * len(size.depths))
  _check(size, pretrained)
  compute, version_2 = compute_dtype(dtype), size.version == 2
  # New parts at every place: Flax shares the parameters of one module that stands in two.
  new_norm = partial(make_norm, 'layernorm', norm_epsilon, compute)
  # As in the paper's code: where norms end the branches, every block starts as the identity.
  start = nn.initializers.zeros if version_2 else nn.initializers.ones
  options = dict(scan=scan, remat=check_remat(remat), turns=({}, {'shifted': True}))
  rates = np.linspace(0, drop_path_rate, sum(size.depths))
  stages = []
  for i, depth in enumerate(size.depths):
    attention = _attention(size, i, pretrained[i], compute)
    mlp = make_mlp('gelu', int(size.width * 2**i * mlp_ratio), dropout_rate, compute, INIT)
    place = 'branch' if version_2 else 'pre'
    block = Block(attention, mlp, new_norm(scale_init=start), None, dropout_rate, place)
    own, rates = rates[:depth], rates[depth:]
    stages.append(Stack(block, depth, (own[0], own[-1]), **options))
  return Swin(
    PatchEmbed(size.width, (patch_size, patch_size), compute),
    new_norm(),
    stages,
    PatchMerging(new_norm(), version_2, compute),
    new_norm(),
    classifier(num_classes, compute),
    dropout_rate,
  )


def _attention(size: Size, i: int, pretrained: int, dtype: jnp.dtype) -> WindowAttention:
  """The attention of the blocks of stage i."""
  n = size.num_heads[i]
  if size.version == 1:
    attention, bias = SelfAttention(n, dtype=dtype, kernel_init=INIT), RelativePositionBias(n)
  else:
    attention = CosineAttention(n, dtype=dtype, kernel_init=INIT)
    bias = ContinuousPositionBias(n, pretrained_window=pretrained, dtype=dtype)
  return WindowAttention(attention, bias, size.window_size)


def _check(size: Size, pretrained: tuple[int, ...]) -> None:
  """Raises UserError if the numbers of the stages do not fit together."""
  if not len(size.depths) == len(size.num_heads) == len(pretrained):
    raise UserError(
      f'Swin: depths={size.depths}, num_heads={size.num_heads} and pretrained_window_sizes='
      f'{pretrained} need one number a stage each'
    )
  if any(pretrained) and size.version == 1:
    raise UserError(
      'Swin: pretrained_window_sizes are of version 2; tables of version 1 are resampled instead'
    )
  if any(size.width * 2**i % n for i, n in enumerate(size.num_heads)):
    raise UserError(
      f'Swin: the width {size.width}, doubled every stage, does not divide into '
      f'num_heads={size.num_heads}'
    )
