"""ResNet: layers that learn what to add to their input (He et al. 2015, arXiv:1512.03385).

A stem, then stages of residual blocks; every stage after the first halves the map and doubles the
channels; the mean of the last map is classified. It is version 1.5, which everybody means today: of
a bottleneck, the 3×3 convolution has the stride, not the 1×1 before it, and the last norm of every
branch starts at zero, so that every block starts as the identity (arXiv:1706.02677, section 5.1).

In: float images `b h w c`, normalised, of any size. Out: float32 logits and a dict of every
intermediate. Loads the ResNets of torchvision, timm and Hugging Face
(`vitlab.pretrained.families.resnet`).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np
from jaxtyping import Array, Float

from vitlab.errors import UserError, unknown
from vitlab.layers.choices import check_rates, classifier, compute_dtype, pick_size
from vitlab.layers.conv import Conv, ConvNormAct, check_padding, max_pool, mean_pool
from vitlab.layers.norms import make_norm
from vitlab.layers.sharding import constrain_batch
from vitlab.layers.stack import check_remat, remat_policy
from vitlab.ops.regularisation import drop_path

Out = dict[str, Array]


class Layer(NamedTuple):
  size: int  # of the kernel
  expansion: int  # channels, in widths of the block
  strided: bool  # whether it has the block's stride


BLOCKS = {
  'basic': (Layer(3, 1, True), Layer(3, 1, False)),
  'bottleneck': (Layer(1, 1, False), Layer(3, 1, True), Layer(1, 4, False)),
}


class Size(NamedTuple):
  block: str
  depths: tuple[int, ...]
  width: int = 64


VARIANTS = {
  'mu': Size('bottleneck', (1, 2), 8),  # for tests
  '18': Size('basic', (2, 2, 2, 2)),  # arXiv:1512.03385, table 1
  '26': Size('bottleneck', (2, 2, 2, 2)),  # of the hybrids in arXiv:2106.10270
  '34': Size('basic', (3, 4, 6, 3)),
  '50': Size('bottleneck', (3, 4, 6, 3)),
  '101': Size('bottleneck', (3, 4, 23, 3)),
  '152': Size('bottleneck', (3, 8, 36, 3)),
}


class Block(nn.Module):
  """relu(shortcut(x) + branch(x)), figures 2 and 5 of the paper.

  Attributes:
    layers: Of the branch: a convolution and a norm each, a ReLU between them.
    width: Channels of a layer with expansion 1.
    conv: (channels, kernel size, stride, name=...) -> convolution.
    norm: Copied to norm1, norm2, ...
    stride: Of the block.
    dilation: Of the kernels with the stride, and of the others.
  """

  layers: Sequence[Layer]
  width: int
  conv: Callable[..., nn.Module]
  norm: nn.Module
  stride: int = 1
  dilation: tuple[int, int] = (1, 1)

  @nn.compact
  def __call__(
    self, x: Float[Array, 'b h w c'], train: bool = False, drop_path_rate: float = 0.0
  ) -> Float[Array, 'b y x d']:
    shortcut, channels = x, self.width * self.layers[-1].expansion
    if self.stride > 1 or x.shape[-1] != channels:
      # Option B of the paper: a projection where the shape changes.
      shortcut = self.conv(channels, 1, self.stride, name='conv_shortcut')(x)
      shortcut = self.norm.copy(name='norm_shortcut')(shortcut, train)
    for i, layer in enumerate(self.layers, 1):
      stride, last = self.stride if layer.strided else 1, i == len(self.layers)
      channels, wide = self.width * layer.expansion, self.dilation[not layer.strided]
      x = self.conv(channels, layer.size, stride, dilation=wide, name=f'conv{i}')(x)
      start = dict(scale_init=nn.initializers.zeros) if last else {}
      x = self.norm.copy(name=f'norm{i}', **start)(x, train)
      x = x if last else nn.relu(x)
    if train and drop_path_rate:
      x = drop_path(x, drop_path_rate, self.make_rng('dropout'))
    return nn.relu(shortcut + x)


class Stage(nn.Module):
  """Blocks on maps of one size; the first one has the stride, or the dilation before it.

  Attributes:
    block: Copied to block_0, block_1, ...
    drop_path_rates: Of every block.
    remat: Of every block, see `make`.
  """

  block: Block
  drop_path_rates: tuple[float, ...]
  remat: str = ''

  @nn.compact
  def __call__(
    self, x: Float[Array, 'b h w c'], train: bool = False
  ) -> tuple[Float[Array, 'b y x d'], list[Out]]:
    outs = []
    for i, rate in enumerate(self.drop_path_rates):
      later = dict(stride=1, dilation=(self.block.dilation[1],) * 2) if i else {}
      block = self.block.copy(name=f'block_{i}', **later)
      run = partial(_run, train=train, drop_path_rate=rate)
      if self.remat:
        run = nn.remat(run, policy=remat_policy(self.remat))
      x = constrain_batch(run(block, x))
      outs.append(dict(features=x))
    return x, outs


def _run(block: Block, x: Array, **options: Any) -> Array:
  return block(x, **options)


class ResNet(nn.Module):
  """ResNet, composed of its parts.

  Attributes:
    stem: (image, train) -> map.
    stages: Each (map, train) -> (map, what its blocks give).
    pool: Between stem and stages.
    head: Features -> logits; None: the features are what comes out.
    dropout_rate: On the features.
  """

  stem: nn.Module
  stages: Sequence[nn.Module]
  pool: Callable[[Array], Array] | None = None
  head: nn.Module | None = None
  dropout_rate: float = 0.0

  @nn.compact
  def __call__(
    self, image: Float[Array, 'b h w c'], train: bool = False
  ) -> tuple[Float[Array, 'b classes'], dict[str, Any]]:
    """Classifies images.

    Args:
      image: Normalised images.
      train: Whether batchnorm uses the batch, and dropout and drop-path act (the rng 'dropout').

    Returns:
      Logits in at least float32, and every intermediate: 'stem' (its map), 'blocks' (a dict a block
      with 'features', its map), 'levels' (the map after every stage, from fine to coarse),
      'features' (what the head sees), 'logits'.
    """
    out = dict(blocks=[], levels=[])
    x = self.stem(image, train)
    x = out['stem'] = constrain_batch(x if self.pool is None else self.pool(x))
    for i, stage in enumerate(self.stages):
      x, blocks = stage.copy(name=f'stage_{i}')(x, train)
      out['blocks'] += blocks
      out['levels'].append(x)
    features = out['features'] = mean_pool(x)
    features = nn.Dropout(self.dropout_rate)(features, deterministic=not train)
    logits = out['logits'] = features if self.head is None else self.head(features)
    return logits, out


def make(
  variant: str = '50',
  num_classes: int | None = None,
  *,
  block: str | None = None,
  depths: Sequence[int] | None = None,
  width: int | None = None,
  stem: str = 'imagenet',
  norm: str = 'batchnorm',
  norm_epsilon: float = 1e-5,
  num_groups: int = 32,
  weight_standardization: bool = False,
  padding: str = 'symmetric',
  dilated_stages: int = 0,
  dropout_rate: float = 0.0,
  drop_path_rate: float = 0.0,
  remat: str = '',
  dtype: str = 'float32',
) -> ResNet:
  """Composes a ResNet.

  Args:
    variant: A size of `VARIANTS`.
    num_classes: Number of logits; None: the model returns its features.
    block: 'basic', two 3×3 convolutions, or 'bottleneck', 1×1, 3×3 and 1×1 with four times the
      channels, instead of the variant's.
    depths: Blocks of each stage, as many stages as numbers, instead of the variant's.
    width: Channels of the first stage, before that factor, instead of the variant's.
    stem: 'imagenet', a 7×7 convolution and a max-pool, each of stride 2; 'small', for images of
      less than 64 pixels, a 3×3 convolution (section 4.2).
    norm: 'batchnorm', whose statistics are the collection 'batch_stats'; 'frozen_batchnorm', of a
      backbone whose norms stay as they were learned; or any other of `vitlab.layers.norms`.
    norm_epsilon: Added to the variance in the norms: 1e-5 everywhere.
    num_groups: Groups of 'groupnorm'.
    weight_standardization: Whether the kernels of all convolutions are standardised
      (arXiv:1903.10520); with 'groupnorm' it replaces batchnorm where batches are small, as in BiT
      (arXiv:1912.11370) and the ViT's hybrids.
    padding: 'symmetric' as in torch, or 'same' as in TensorFlow and the ViT's hybrids.
    dilated_stages: Last stages that dilate their kernels instead of halving the map, which sees as
      far on a finer map: 1 is the DC5 of detectors (arXiv:1611.07709).
    dropout_rate: Probability of dropout on the features.
    drop_path_rate: Probability with which a branch is skipped, rising linearly from 0 to this rate
      at the last block (arXiv:1603.09382).
    remat: What the backward pass keeps of a block, one of `vitlab.layers.stack.REMAT`; '' is
      everything. Less is memory against time, never another result.
    dtype: The type of what is computed, 'bfloat16' or 'float32'. Parameters and norm statistics
      stay float32.

  Raises:
    UserError: a word or number that cannot be used; lists what is possible.
  """
  check_rates(dropout_rate=dropout_rate, drop_path_rate=drop_path_rate)
  size = pick_size('ResNet', VARIANTS, variant, block=block, depths=depths, width=width)
  if size.block not in BLOCKS:
    raise unknown('block of ResNet', size.block, BLOCKS)
  compute = compute_dtype(dtype)
  conv = partial(
    Conv, padding=check_padding(padding), standardize=weight_standardization, dtype=compute
  )
  new_norm = partial(make_norm, norm, norm_epsilon, compute, maps=True, num_groups=num_groups)
  rates = np.split(
    np.linspace(0, drop_path_rate, sum(size.depths)), np.cumsum(size.depths)[:-1].tolist()
  )

  def stage(i: int) -> Stage:
    stride, dilation = _steps(i, len(size.depths), dilated_stages)
    block = Block(BLOCKS[size.block], size.width * 2**i, conv, new_norm(), stride, dilation)
    return Stage(block, tuple(rates[i].tolist()), check_remat(remat))

  stem_size, stem_stride, stem_pool = _stem(stem, padding)
  return ResNet(
    ConvNormAct(conv(size.width, stem_size, stem_stride), new_norm()),
    [stage(i) for i in range(len(size.depths))],
    stem_pool,
    classifier(num_classes, compute),
    dropout_rate,
  )


def _steps(stage: int, stages: int, dilated: int) -> tuple[int, tuple[int, int]]:
  """Stride of a stage; dilation in the place of its stride, and behind."""
  if not 0 <= dilated < stages:
    raise UserError(
      f'ResNet: dilated_stages={dilated}: of {stages} stages all but the first may be'
    )
  number = max(0, stage - (stages - 1 - dilated))  # of it among the dilated, from 1
  stride = 2 if stage and not number else 1
  return stride, (2 ** max(0, number - 1), 2**number)


def _stem(name: str, padding: str) -> tuple[int, int, Callable | None]:
  """Kernel size, stride and pool of the stem."""
  stems = {
    'imagenet': (7, 2, partial(max_pool, size=3, stride=2, padding=padding)),
    'small': (3, 1, None),
  }
  if name not in stems:
    raise unknown('stem of ResNet', name, stems)
  return stems[name]
