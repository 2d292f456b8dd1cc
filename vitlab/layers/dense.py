"""The one matrix multiplication with weights that all layers use."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vitlab import names
from vitlab.layers.sharding import apply_split, parameters_are_whole, whole
from vitlab.ops.matmul import matmul


class Dense(nn.Module):
  """Affine map of the last axes: y = x · kernel + bias.

  The kernel keeps its axes apart ([d, 3, n, k] for queries, keys and values of n heads), so that
  each can be sharded by name; XLA still sees one flat matmul. Tensor parallelism splits heads and
  hidden units by the name of the layer (`vitlab.names.tensor_parallel_axis`).

  Attributes:
    features: Sizes of the last axes of the output.
    axes: Number of last axes of the input that are contracted.
    use_bias: Whether there is a bias, of the shape of the features.
    dtype: Type of the computation; parameters are float32.
    kernel_init: Initialiser of the kernel; None: LeCun normal over the contracted axes.
    bias_init: Initialiser of the bias.
  """

  features: int | tuple[int, ...]
  axes: int = 1
  use_bias: bool = True
  dtype: Any = jnp.float32
  kernel_init: Callable | None = None
  bias_init: Callable = nn.initializers.zeros

  @nn.compact
  def __call__(
    self,
    x: Float[Array, '...'],
    part: slice = slice(None),
    before: Callable[[Array], Array] | None = None,
  ) -> Float[Array, '...']:
    """Maps x.

    Args:
      x: Ends in the axes that are contracted.
      part: Of the first axis of the features: keys and values without queries.
      before: Elementwise function that x goes through first, closed over no array; its result is
        not kept for the gradient where that is faster (`vitlab.ops.matmul`).
    """
    features = (self.features,) if isinstance(self.features, int) else tuple(self.features)
    shape = x.shape[x.ndim - self.axes :] + features
    init = self.kernel_init or fan_init('fan_in', 'truncated_normal', self.axes)
    kernel = self.param('kernel', init, shape, jnp.float32)
    x, kernel = x.astype(self.dtype), kernel[(slice(None),) * self.axes + (part,)]
    kernel = kernel.astype(self.dtype)
    parallel = names.tensor_parallel_axis('/'.join((*self.path, 'kernel'))) is not None
    y = apply_split(partial(contract, axes=self.axes, before=before), x, kernel, parallel)
    if self.use_bias:
      bias = self.param('bias', self.bias_init, features, jnp.float32)[part].astype(self.dtype)
      y += bias if parallel else whole(bias)
    return y


def fan_init(mode: str, distribution: str, axes: int = 1, groups: int = 0) -> Callable:
  """Variance-scaling initialiser for a `Dense` kernel.

  Args:
    mode: 'fan_in' (LeCun) or 'fan_avg' (Glorot, Xavier).
    distribution: 'truncated_normal', 'normal' or 'uniform'.
    axes: Number of leading axes that are contracted (the fan in).
    groups: Number of axes after these that count independent matrices (3 for q, k, v), not fan out.
  """

  def init(key, shape, dtype=jnp.float32):
    fan_in = math.prod(shape[:axes])
    fan_out = math.prod(shape[axes + groups :])
    flat = (math.prod(shape[axes : axes + groups]), fan_in, fan_out)
    scaling = nn.initializers.variance_scaling(1.0, mode, distribution, batch_axis=(0,))
    return jnp.moveaxis(scaling(key, flat, dtype), 0, 1).reshape(shape)

  return init


def contract(
  x: Float[Array, '...'],
  kernel: Float[Array, '...'],
  axes: int = 1,
  dtype: Any = None,
  before: Callable[[Array], Array] | None = None,
) -> Float[Array, '...']:
  """The last `axes` of before(x) with the first ones of the kernel, summed and given in `dtype`.

  On CPU as flat matrices, whose gradients are fast (`vitlab.ops.matmul`). Split parameters keep
  their axes: flat, XLA would move activations to them.
  """
  if jax.default_backend() == 'cpu' and parameters_are_whole():
    rows, columns = x.shape[: x.ndim - axes], kernel.shape[axes:]
    fan_in = math.prod(kernel.shape[:axes])
    x, kernel = x.reshape(math.prod(rows), fan_in), kernel.reshape(fan_in, math.prod(columns))
    return matmul(x, kernel, dtype, before).reshape(rows + columns)
  x = x if before is None else before(x)
  dims = tuple(range(x.ndim - axes, x.ndim)), tuple(range(axes))
  return jax.lax.dot_general(x, kernel, (dims, ((), ())), preferred_element_type=dtype)
