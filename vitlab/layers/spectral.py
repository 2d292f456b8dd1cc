"""Spectral normalisation: every kernel is divided by its largest singular value, its norm.

No layer then lengthens the difference of two inputs, and a discriminator made of such layers cannot
get arbitrarily steep (Miyato et al. 2018, arXiv:1802.05957). The norm σ of a matrix W [o i] belongs
to the vectors u [o] and v [i] that power iteration finds; weights move little in a step, so that
one round a step, from where the last one ended, keeps up with them (algorithm 1 of the paper):

  v ← Wᵀu / |Wᵀu|     u ← W v / |W v|     σ = uᵀ W v

The vectors are the collection 'spectral', one of `vitlab.tasks.ONCE`, and training has to hold it
mutable; with train=False they are used as they lie. So does torch's `spectral_norm`, which BigGAN
and mimicry use, but for its start: there v is random, too, and σ of a new model may be negative.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vitlab.layers.attention import unit
from vitlab.layers.conv import convolve
from vitlab.layers.dense import contract, fan_init
from vitlab.layers.sharding import apply_split, constrain_batch, whole

COLLECTION = 'spectral'
XAVIER = nn.initializers.xavier_uniform()


def power_iteration(
  matrix: Float[Array, 'i o'], u: Float[Array, ' o']
) -> tuple[Float[Array, ' o'], Float[Array, ' i']]:
  """One round for Wᵀ = matrix, as kernels lie: the next u, and the v between both."""
  v = unit(matrix @ u)
  return unit(v @ matrix), v


def spectral_norm(
  matrix: Float[Array, 'i o'], u: Float[Array, ' o'], v: Float[Array, ' i']
) -> Float[Array, '']:
  """σ = uᵀ W v: the largest singular value, if u and v are its vectors; never more."""
  return v @ matrix @ u


class SpectralDense(nn.Module):
  """x · kernel / σ + bias over the last axis: also the 1×1 convolution of a map.

  Attributes:
    features: Sizes of the last axes of the output, together the rows of W.
    use_bias: Whether there is a bias, of the shape of the features.
    through_vectors: Whether gradients flow through the power iteration, too, as in the TensorFlow
      release of SAGAN.
    kernel_init: Initialiser of the kernel.
    dtype: Type of the computation; parameters, vectors and σ are float32.
  """

  features: int | tuple[int, ...]
  use_bias: bool = True
  through_vectors: bool = False
  kernel_init: Callable = fan_init('fan_avg', 'uniform')
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, '*b i'], train: bool = False) -> Float[Array, '...']:
    i = x.shape[-1]
    features = (self.features,) if isinstance(self.features, int) else tuple(self.features)
    kernel = self.param('kernel', self.kernel_init, (i, *features), jnp.float32)
    kernel /= _followed_norm(self, kernel.reshape(i, -1), train)
    y = apply_split(contract, x.astype(self.dtype), kernel.astype(self.dtype))
    return _biased(self, y, features)


class SpectralConv(nn.Module):
  """The convolution of x with kernel / σ, plus a bias; rows and columns stay as many.

  W [o, y·x·i] has a row for every filter: its norm is not that of the convolution as a linear map,
  but bounds it up to a factor, the size of the kernel.

  Attributes:
    features: Channels of the result.
    size: Of the kernel, in pixels.
    use_bias: Whether there is a bias.
    through_vectors: As of `SpectralDense`.
    kernel_init: Initialiser of the kernel.
    dtype: As of `SpectralDense`.
  """

  features: int
  size: int = 3
  use_bias: bool = True
  through_vectors: bool = False
  kernel_init: Callable = XAVIER
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w i'], train: bool = False) -> Float[Array, 'b h w o']:
    shape = (self.size, self.size, x.shape[-1], self.features)
    kernel = self.param('kernel', self.kernel_init, shape, jnp.float32)
    kernel /= _followed_norm(self, kernel.reshape(-1, self.features), train)
    y = apply_split(convolve, x.astype(self.dtype), kernel.astype(self.dtype))
    return _biased(self, y, (self.features,))


class SpectralEmbed(nn.Module):
  """A learned vector per class: a row of table / σ.

  Attributes:
    num_classes: How many there are: the rows of W, which is the table.
    width: Of the vectors.
    through_vectors: As of `SpectralDense`.
    dtype: As of `SpectralDense`.
  """

  num_classes: int
  width: int
  through_vectors: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, label: Int[Array, ' b'], train: bool = False) -> Float[Array, 'b d']:
    table = self.param('embedding', XAVIER, (self.num_classes, self.width), jnp.float32)
    table /= _followed_norm(self, table.T, train)
    vectors = apply_split(lambda label, table: table[label], label, table.astype(self.dtype))
    return constrain_batch(vectors)


def _followed_norm(layer: nn.Module, matrix: Float[Array, 'i o'], train: bool) -> Float[Array, '']:
  """σ of a layer's kernel, by the vectors that the layer keeps and in training moves."""
  noise = lambda: jax.random.normal(layer.make_rng('params'), matrix.shape[1:], jnp.float32)  # noqa: E731
  stored_u = layer.variable(COLLECTION, 'u', lambda: unit(noise()))
  # Made for each other from the start: σ is never negative, not even of a model never trained.
  stored_v = layer.variable(COLLECTION, 'v', lambda: unit(matrix @ stored_u.value))
  if not train or layer.is_initializing():
    return spectral_norm(matrix, stored_u.value, stored_v.value)
  u, v = power_iteration(matrix, stored_u.value)
  stored_u.value, stored_v.value = jax.lax.stop_gradient((u, v))
  if not layer.through_vectors:
    u, v = jax.lax.stop_gradient((u, v))
  return spectral_norm(matrix, u, v)


def _biased(
  layer: nn.Module, y: Float[Array, '...'], shape: tuple[int, ...]
) -> Float[Array, '...']:
  """y with the layer's bias, if it has one."""
  if not layer.use_bias:
    return y
  bias = layer.param('bias', nn.initializers.zeros, shape, jnp.float32)
  return y + whole(bias.astype(y.dtype))
