"""Inception v3: what the Fréchet inception distance looks through (arXiv:1512.00567).

Convolutions, then eleven blocks on ever smaller maps. A block is a few branches side by side, whose
results are its channels: kernels of several sizes, large ones taken apart into a column and a row,
and a pooled path. The mean of the last map is 2048 features, and a classifier reads them.

There are two of it, with the same weights' names: torchvision's ('v3'), and the one of TensorFlow
from 2015 that FID is defined by ('fid'), which has 1008 classes, leaves the padding out of its
averages, and takes a maximum in the place of the last one. Their features cannot be compared. The
classifier in the middle, which helped training, is not here.

In: float images `b h w c`, normalised to [-1, 1], of 75 pixels or more; of 299 for FID. Out:
float32 logits and a dict of intermediates. Loads the weights of torchvision, timm, pytorch-fid and
torch-fidelity (`vitlab.pretrained.families.inception`).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vitlab.errors import UserError, unknown
from vitlab.layers.choices import check_rates, classifier, compute_dtype
from vitlab.layers.conv import Conv, ConvNormAct, max_pool, mean_pool, window_mean
from vitlab.layers.darknet import Chain
from vitlab.layers.norms import make_norm
from vitlab.layers.sharding import constrain_batch

LEAST = 75  # pixels: below, the last maps are empty
HALVE = partial(max_pool, size=3, stride=2, padding='none')


class Size(NamedTuple):
  count_padding: bool  # whether averages count the zeros around the map
  last_pool: str  # of the last block


VARIANTS = {'v3': Size(True, 'mean'), 'fid': Size(False, 'max')}


class SideBySide(nn.Module):
  """Branches that read the same map; their results are the channels, one after the other.

  Attributes:
    branches: Each (map, train) -> map.
  """

  branches: Sequence[nn.Module]

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w c'], train: bool = False) -> Float[Array, 'b y x d']:
    return jnp.concatenate([branch(x, train) for branch in self.branches], axis=-1)


class Pool(nn.Module):
  """A pool as a layer.

  Attributes:
    pool: map -> map.
  """

  pool: Callable[[Array], Array]

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w c'], train: bool = False) -> Float[Array, 'b y x c']:
    del train
    return self.pool(x)


class Inception(nn.Module):
  """Inception v3, composed of its parts.

  Attributes:
    stem: (image, train) -> map.
    blocks: Each (map, train) -> map.
    head: Features -> logits; None: the features are what comes out.
    dropout_rate: On the features.
  """

  stem: nn.Module
  blocks: Sequence[nn.Module]
  head: nn.Module | None = None
  dropout_rate: float = 0.0

  @nn.compact
  def __call__(
    self, image: Float[Array, 'b h w c'], train: bool = False
  ) -> tuple[Float[Array, 'b classes'], dict[str, Any]]:
    """Classifies images.

    Args:
      image: Normalised images.
      train: Whether batchnorm uses the batch, and dropout acts (the rng 'dropout').

    Returns:
      Logits in at least float32, and intermediates: 'stem' (its map), 'blocks' (a dict a block with
      'features', its map), 'features' (what the head sees), 'logits'.

    Raises:
      UserError: the images are too small.
    """
    height, width = image.shape[1:3]
    if min(height, width) < LEAST:
      raise UserError(
        f'Inception sees images of {LEAST} x {LEAST} pixels or more, not of {height} x {width}'
        '\nresize them; FID is defined at 299 x 299'
      )
    x = constrain_batch(self.stem(image, train))
    out = dict(stem=x, blocks=[])
    for i, block in enumerate(self.blocks):
      x = constrain_batch(block.copy(name=f'block_{i}')(x, train))
      out['blocks'].append(dict(features=x))
    features = out['features'] = mean_pool(x)
    features = nn.Dropout(self.dropout_rate)(features, deterministic=not train)
    logits = out['logits'] = features if self.head is None else self.head(features)
    return logits, out


def make(
  variant: str = 'v3',
  num_classes: int | None = None,
  *,
  norm_epsilon: float = 1e-3,
  dropout_rate: float = 0.5,
  dtype: str = 'float32',
) -> Inception:
  """Composes an Inception v3.

  Args:
    variant: 'v3', or 'fid' for the network of the Fréchet inception distance.
    num_classes: Number of logits, 1008 of FID's weights; None: the model returns its features.
    norm_epsilon: Added to the variance in the norms.
    dropout_rate: Probability of dropout on the features.
    dtype: The type of what is computed, 'bfloat16' or 'float32'. Parameters and norm statistics
      stay float32.

  Raises:
    UserError: a word or number that cannot be used; lists what is possible.
  """
  if variant not in VARIANTS:
    raise unknown('variant of Inception', variant, VARIANTS)
  check_rates(dropout_rate=dropout_rate)
  compute = compute_dtype(dtype)

  def conv(channels, size=1, stride=1, padding='symmetric') -> ConvNormAct:
    kernel = Conv(channels, size, stride, padding=padding, dtype=compute)
    return ConvNormAct(kernel, make_norm('batchnorm', norm_epsilon, compute, maps=True))

  head = classifier(num_classes, compute)
  return Inception(_stem(conv), _blocks(conv, VARIANTS[variant]), head, dropout_rate)


def _stem(conv: Callable[..., nn.Module]) -> nn.Module:
  """Table 1, up to the blocks: 299 pixels to 35."""
  halved = partial(conv, size=3, stride=2, padding='none')
  unpadded = partial(conv, size=3, padding='none')
  first = halved(32), unpadded(32), conv(64, 3), Pool(HALVE)
  return Chain([*first, conv(80), unpadded(192), Pool(HALVE)])


def _blocks(conv: Callable[..., nn.Module], size: Size) -> list[nn.Module]:
  """Of maps of 35, 17 and 8 pixels, where the image has 299."""
  halved = partial(conv, size=3, stride=2, padding='none')
  row, column = (1, 7), (7, 1)
  pools = {
    'mean': partial(window_mean, size=3, count_padding=size.count_padding),
    'max': partial(max_pool, size=3, stride=1),
  }

  def pooled(channels: int, pool: str = 'mean') -> nn.Module:
    return Chain([Pool(pools[pool]), conv(channels)])

  def narrow(channels: int) -> nn.Module:
    """Figure 5: kernels of 1, 3 and 5 pixels, and two of 3 in the place of a larger one."""
    twice = Chain([conv(64), conv(96, 3), conv(96, 3)])
    return SideBySide([conv(64), Chain([conv(48), conv(64, 5)]), twice, pooled(channels)])

  def apart(d: int) -> nn.Module:
    """Figure 6: kernels of 7×7 taken apart into rows and columns."""
    once = Chain([conv(d), conv(d, row), conv(192, column)])
    twice = Chain([conv(d), conv(d, column), conv(d, row), conv(d, column), conv(192, row)])
    return SideBySide([conv(192), once, twice, pooled(192)])

  def wide(pool: str) -> nn.Module:
    """Figure 7: a row and a column that read the same."""
    fork = lambda: SideBySide([conv(384, (1, 3)), conv(384, (3, 1))])  # noqa: E731
    once = Chain([conv(384), fork()])
    twice = Chain([conv(448), conv(384, 3), fork()])
    return SideBySide([conv(320), once, twice, pooled(192, pool)])

  # Figure 10: half the size without a narrow place.
  to_17 = Chain([conv(64), conv(96, 3), halved(96)])
  to_8 = Chain([conv(192), conv(192, row), conv(192, column), halved(192)])
  return [
    *(narrow(channels) for channels in (32, 64, 64)),
    SideBySide([halved(384), to_17, Pool(HALVE)]),
    *(apart(d) for d in (128, 160, 160, 192)),
    SideBySide([Chain([conv(192), halved(320)]), to_8, Pool(HALVE)]),
    wide('mean'),
    wide(size.last_pool),
  ]
