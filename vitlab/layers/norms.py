"""Normalisation by name, with the epsilon said aloud: it differs between published weights.

All share one interface, norm(x, train=False), and one form: (x - mean) / sqrt(variance + epsilon)
· scale + bias, in at least float32. They differ in what mean and variance are taken over:

| name         | of x [b h w c]               | paper                                   |
| batchnorm    | b h w, or running averages   | Ioffe and Szegedy 2015, arXiv:1502.03167 |
| frozen_batchnorm | running averages alone   | detectors on published backbones        |
| layernorm    | c                            | Ba et al. 2016, arXiv:1607.06450        |
| instancenorm | h w                          | Ulyanov et al. 2016, arXiv:1607.08022   |
| groupnorm    | h w and c / groups channels  | Wu and He 2018, arXiv:1803.08494        |
| rmsnorm      | c; no mean and no bias       | Zhang and Sennrich 2019, arXiv:1910.07467 |

Over tokens [b t d], each by itself, layernorm and rmsnorm remain. The layer norm of convolutional
networks that is taken over h w c is groupnorm with one group.
"""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vitlab.errors import UserError, unknown
from vitlab.layers.sharding import apply_split, constrain_batch
from vitlab.ops.normalisation import normalise
from vitlab.ops.precision import wide


class LayerNorm(nn.Module):
  """Over the last axis (arXiv:1607.06450): every token, or every pixel of a map, by itself.

  Attributes:
    epsilon: Added to the variance.
    dtype: Of the result; the statistics are at least float32.
    scale_init: Initialiser of the scale.
  """

  epsilon: float = 1e-6
  dtype: Any = jnp.float32
  scale_init: Callable = nn.initializers.ones

  @nn.compact
  def __call__(self, x: Float[Array, '*b d'], train: bool = False) -> Float[Array, '*b d']:
    del train
    scale, bias = _scale_and_bias(self, x.shape[-1])
    return normalise(x, scale, bias, -1, self.epsilon)[0].astype(self.dtype)


class RMSNorm(nn.Module):
  """x / sqrt(mean(x²) + epsilon) · scale over the last axis (arXiv:1910.07467).

  Attributes:
    epsilon: Added to the mean square.
    dtype: Of the result; the mean square is at least float32.
    scale_init: Initialiser of the scale.
  """

  epsilon: float = 1e-6
  dtype: Any = jnp.float32
  scale_init: Callable = nn.initializers.ones

  @nn.compact
  def __call__(self, x: Float[Array, '*b d'], train: bool = False) -> Float[Array, '*b d']:
    del train
    scale = self.param('scale', self.scale_init, x.shape[-1:], jnp.float32)
    x = wide(x)
    mean_square = jnp.square(x).mean(-1, keepdims=True)
    return (x * jax.lax.rsqrt(mean_square + self.epsilon) * scale).astype(self.dtype)


class BatchNorm(nn.Module):
  """Over all but the channels (arXiv:1502.03167), as torch does it.

  In training by the mean and the (biased) variance of the batch, and the running averages move:
  running = (1 - momentum) · running + momentum · batch, with the unbiased variance. Otherwise by
  the running averages. They are the collection 'batch_stats', which training has to hold mutable.

  The batch is what the call sees: under `jit` the whole of a sharded one (torch's SyncBatchNorm),
  under gradient accumulation one microbatch. Every row votes, because models are not told `mask`:
  in training those are the blank rows of pictures that could not be read, at most `max_corrupt` of
  them; the padding of an evaluation meets running averages, on which it has no influence.

  Attributes:
    epsilon: Added to the variance.
    dtype: Of the result; the statistics are at least float32.
    scale_init: Initialiser of the scale.
    momentum: Weight of the new batch: torch's convention, one minus that of Flax and TensorFlow.
    affine: Whether there are scale and bias.
  """

  epsilon: float = 1e-5
  dtype: Any = jnp.float32
  scale_init: Callable = nn.initializers.ones
  momentum: float = 0.1
  affine: bool = True

  @nn.compact
  def __call__(self, x: Float[Array, 'b *n c'], train: bool = False) -> Float[Array, 'b *n c']:
    """Normalises; raises UserError for a training batch of one value per channel."""
    c = x.shape[-1]
    scale, bias = _scale_and_bias(self, c) if self.affine else (jnp.ones(c), jnp.zeros(c))
    running_mean = self.variable('batch_stats', 'mean', jnp.zeros, x.shape[-1:], jnp.float32)
    running_var = self.variable('batch_stats', 'var', jnp.ones, x.shape[-1:], jnp.float32)
    if train:
      count = math.prod(x.shape[:-1])
      if count == 1:
        raise UserError(
          f'batchnorm in training: one value for each of {x.shape[-1]} channels has no variance'
          '\ngive it a larger batch, or a larger image'
        )
      axes = tuple(range(x.ndim - 1))
      y, mean, variance = normalise(x, scale, bias, axes, self.epsilon)
      if not self.is_initializing():
        running_mean.value = self._moved(running_mean.value, mean)
        running_var.value = self._moved(running_var.value, variance * (count / (count - 1)))
      return y.astype(self.dtype)
    factor = scale * jax.lax.rsqrt(running_var.value + self.epsilon)
    return ((wide(x) - running_mean.value) * factor + bias).astype(self.dtype)

  def _moved(self, running: Float[Array, ' c'], batch: Float[Array, '*ones c']) -> Array:
    batch = batch.reshape(running.shape).astype(running.dtype)
    return (1 - self.momentum) * running + self.momentum * batch


class ConditionalBatchNorm(nn.Module):
  """A batchnorm whose scale and bias each class of examples has for itself.

  Dumoulin et al. 2016 (arXiv:1610.07629) for styles; how a generator is told what to draw. Mean and
  variance are those of the whole batch, whatever its classes.

  Attributes:
    num_classes: How many there are.
    dtype: Of the result.
  """

  num_classes: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, x: Float[Array, 'b *n c'], label: Int[Array, ' b'], train: bool = False
  ) -> Float[Array, 'b *n c']:
    around_one = lambda *shape: 1 + nn.initializers.normal(0.02)(*shape)  # noqa: E731
    scale = self._of_class(label, 'scale', around_one, x)
    bias = self._of_class(label, 'bias', nn.initializers.zeros, x)
    norm = BatchNorm(dtype=scale.dtype, affine=False, name='norm')
    return (norm(x, train) * scale + bias).astype(self.dtype)

  def _of_class(
    self, label: Int[Array, ' b'], name: str, init: Callable, x: Float[Array, 'b *n c']
  ) -> Float[Array, 'b *ones c']:
    """The row of a table for each example, the same at all pixels."""
    table = self.param(name, init, (self.num_classes, x.shape[-1]), jnp.float32)
    rows = constrain_batch(apply_split(lambda label, table: table[label], label, table))
    return jnp.expand_dims(rows, tuple(range(1, x.ndim - 1)))


class FrozenBatchNorm(nn.Module):
  """A batchnorm that has been learned: running averages, scale and bias stay as they are.

  What detectors make of the batchnorms of published backbones: their batches are too small for
  statistics. All four vectors are the collection 'frozen', which is neither trained nor averaged
  nor counted among the parameters; weights of a batchnorm fill it (`vitlab.pretrained`).

  Attributes:
    epsilon: Added to the variance.
    dtype: Of the result, which is computed in at least float32.
    scale_init: Not used: a last norm that stays at zero would silence its branch for ever.
  """

  epsilon: float = 1e-5
  dtype: Any = jnp.float32
  scale_init: Callable = nn.initializers.ones

  @nn.compact
  def __call__(self, x: Float[Array, 'b *n c'], train: bool = False) -> Float[Array, 'b *n c']:
    del train
    starts = dict(scale=jnp.ones, bias=jnp.zeros, mean=jnp.zeros, var=jnp.ones)
    scale, bias, mean, var = (
      self.variable('frozen', name, start, x.shape[-1:], jnp.float32).value
      for name, start in starts.items()
    )
    factor = scale * jax.lax.rsqrt(var + self.epsilon)
    # As torchvision's: one multiplication and one addition per pixel.
    return (wide(x) * factor + (bias - mean * factor)).astype(self.dtype)


class GroupNorm(nn.Module):
  """Over the pixels and the channels of each group, image by image (arXiv:1803.08494).

  Attributes:
    epsilon: Added to the variance.
    dtype: Of the result; the statistics are at least float32.
    scale_init: Initialiser of the scale.
    num_groups: Of neighbouring channels; None: every channel by itself (InstanceNorm).
  """

  epsilon: float = 1e-5
  dtype: Any = jnp.float32
  scale_init: Callable = nn.initializers.ones
  num_groups: int | None = 32

  @nn.compact
  def __call__(self, x: Float[Array, 'b *n c'], train: bool = False) -> Float[Array, 'b *n c']:
    """Normalises; raises UserError if the channels are not a whole number of groups."""
    del train
    shape, c = x.shape, x.shape[-1]
    groups = c if self.num_groups is None else self.num_groups
    if c % groups:
      raise UserError(f'groupnorm: {c} channels do not divide into num_groups={groups}')
    scale, bias = (p.reshape(groups, c // groups) for p in _scale_and_bias(self, c))
    x = x.reshape(shape[0], -1, groups, c // groups)
    y, *_ = normalise(x, scale, bias, (1, 3), self.epsilon)
    return y.reshape(shape).astype(self.dtype)


def InstanceNorm(**options: Any) -> GroupNorm:  # noqa: N802 - stands among classes
  """Every channel of every image by itself (arXiv:1607.08022), with scale and bias."""
  return GroupNorm(num_groups=None, **options)


def _scale_and_bias(norm: nn.Module, channels: int) -> tuple[Array, Array]:
  scale = norm.param('scale', norm.scale_init, (channels,), jnp.float32)
  return scale, norm.param('bias', nn.initializers.zeros, (channels,), jnp.float32)


TOKEN_NORMS = {'layernorm': LayerNorm, 'rmsnorm': RMSNorm}
MAP_NORMS = TOKEN_NORMS | {
  'batchnorm': BatchNorm,
  'frozen_batchnorm': FrozenBatchNorm,
  'groupnorm': GroupNorm,
  'instancenorm': InstanceNorm,
}


def make_norm(
  name: str,
  epsilon: float,
  dtype: Any = jnp.float32,
  *,
  maps: bool = False,
  momentum: float = 0.1,
  num_groups: int = 32,
  scale_init: Callable = nn.initializers.ones,
) -> nn.Module:
  """A norm by name, called as norm(x, train=False).

  Args:
    name: 'layernorm' or 'rmsnorm'; for maps also 'batchnorm', 'frozen_batchnorm', 'groupnorm' or
      'instancenorm'.
    epsilon: Added to the variance (the mean square for 'rmsnorm'): 1e-6 in JAX's ViTs, timm and
      DeiT, 1e-12 in Hugging Face's ViT, 1e-5 in DINOv3, Swin, TNT and ResNet.
    dtype: Of the result.
    maps: Whether it normalises feature maps, b h w c; else tokens.
    momentum: Of batchnorm: the weight of the new batch in the running averages, as in torch.
    num_groups: Of groupnorm.
    scale_init: Initialiser of the scale.

  Raises:
    UserError: there is no norm of this name.
  """
  norms = MAP_NORMS if maps else TOKEN_NORMS
  if name not in norms:
    raise unknown('norm', name, norms)
  own = {'batchnorm': dict(momentum=momentum), 'groupnorm': dict(num_groups=num_groups)}
  return norms[name](epsilon=epsilon, dtype=dtype, scale_init=scale_init, **own.get(name, {}))
