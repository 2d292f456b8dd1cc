"""A plain convolutional network: where the story of vision models starts, and their baseline.

Stages of 3×3 convolutions, each followed by a norm and a ReLU (VGG, Simonyan and Zisserman 2014,
arXiv:1409.1556, with BatchNorm); a max-pool halves the map between two stages; the mean of the last
map is classified.

In: float images `b h w c`, normalised, of any size. Out: float32 logits and a dict of every
intermediate.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
from jaxtyping import Array, Float

from vitlab.errors import UserError
from vitlab.layers.choices import check_rates, classifier, compute_dtype, pick_size
from vitlab.layers.conv import Conv, ConvNormAct, max_pool, mean_pool
from vitlab.layers.norms import make_norm
from vitlab.layers.sharding import constrain_batch


class Size(NamedTuple):
  widths: tuple[int, ...]
  depths: tuple[int, ...]


VARIANTS = {
  'mu': Size((8, 16), (1, 1)),  # for tests
  'S': Size((32, 64, 128), (2, 2, 2)),  # for pictures of about 32 pixels on CPUs
  'VGG-11': Size((64, 128, 256, 512, 512), (1, 1, 2, 2, 2)),  # arXiv:1409.1556, table 1
  'VGG-16': Size((64, 128, 256, 512, 512), (2, 2, 3, 3, 3)),  # without their dense layers
}


class CNN(nn.Module):
  """A plain CNN, composed of its layers.

  Attributes:
    stages: The layers of each stage: (map, train) -> map.
    head: Features -> logits; None: the features are what comes out.
    dropout_rate: On the features.
  """

  stages: Sequence[Sequence[nn.Module]]
  head: nn.Module | None = None
  dropout_rate: float = 0.0

  @nn.compact
  def __call__(
    self, image: Float[Array, 'b h w c'], train: bool = False
  ) -> tuple[Float[Array, 'b classes'], dict[str, Any]]:
    """Classifies images.

    Args:
      image: Normalised images.
      train: Whether batchnorm uses the batch, and dropout acts, with the rng 'dropout'.

    Returns:
      Logits in at least float32, and every intermediate: 'blocks' (a dict a layer with 'features',
      its map), 'levels' (the map of every stage, from fine to coarse), 'features' (what the head
      sees), 'logits'.
    """
    out, x = dict(blocks=[], levels=[]), image
    for i, layers in enumerate(self.stages):
      x = max_pool(x, 2, 2) if i else x
      for layer in layers:
        x = constrain_batch(layer.copy(name=f'block_{len(out["blocks"])}')(x, train))
        out['blocks'].append(dict(features=x))
      out['levels'].append(x)
    features = out['features'] = mean_pool(x)
    features = nn.Dropout(self.dropout_rate)(features, deterministic=not train)
    logits = out['logits'] = features if self.head is None else self.head(features)
    return logits, out


def make(
  variant: str = 'S',
  num_classes: int | None = None,
  *,
  widths: Sequence[int] | None = None,
  depths: Sequence[int] | None = None,
  norm: str = 'batchnorm',
  norm_epsilon: float = 1e-5,
  num_groups: int = 32,
  dropout_rate: float = 0.0,
  dtype: str = 'float32',
) -> CNN:
  """Composes a CNN.

  Args:
    variant: A size of `VARIANTS`.
    num_classes: Number of logits; None: the model returns its features.
    widths: Channels of each stage, instead of the variant's.
    depths: Convolutions of each stage, instead of the variant's.
    norm: 'batchnorm', whose statistics are the collection 'batch_stats', or any other of
      `vitlab.layers.norms`.
    norm_epsilon: Added to the variance in the norms.
    num_groups: Groups of 'groupnorm'.
    dropout_rate: Probability of dropout on the features.
    dtype: The type of what is computed, 'bfloat16' or 'float32'. Parameters and norm statistics
      stay float32.

  Raises:
    UserError: a word or number that cannot be used; lists what is possible.
  """
  check_rates(dropout_rate=dropout_rate)
  size = pick_size('CNN', VARIANTS, variant, widths=widths, depths=depths)
  if len(size.widths) != len(size.depths):
    raise UserError(
      f'CNN: widths={size.widths} and depths={size.depths}: give both for every stage'
    )
  compute = compute_dtype(dtype)
  new_norm = partial(make_norm, norm, norm_epsilon, compute, maps=True, num_groups=num_groups)
  stages = [
    [ConvNormAct(Conv(width, dtype=compute), new_norm()) for _ in range(depth)]
    for width, depth in zip(*size)
  ]
  return CNN(stages, classifier(num_classes, compute), dropout_rate)
