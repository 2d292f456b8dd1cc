"""The one matrix multiplication with weights that all layers use."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class Dense(nn.Module):
  """Affine map of the last axes: y = x · kernel + bias.

  The kernel keeps its axes apart ([d, 3, n, k] for queries, keys and values of n heads), so that
  each can be sharded by name; XLA still sees one flat matmul.

  Attributes:
    features: The new last axes.
    axes: How many last axes of the input are contracted.
    use_bias: Whether there is a bias, of the shape of the features.
    dtype: What is computed in; parameters are float32.
    kernel_init: Its default is LeCun normal over the contracted axes.
    bias_init: Initialiser of the bias.
  """

  features: int | tuple[int, ...]
  axes: int = 1
  use_bias: bool = True
  dtype: Any = jnp.float32
  kernel_init: Callable | None = None
  bias_init: Callable = nn.initializers.zeros

  @nn.compact
  def __call__(self, x: Float[Array, '...']) -> Float[Array, '...']:
    features = (self.features,) if isinstance(self.features, int) else tuple(self.features)
    shape = x.shape[x.ndim - self.axes :] + features
    init = self.kernel_init or fan_init('fan_in', 'truncated_normal', self.axes)
    kernel = self.param('kernel', init, shape, jnp.float32)
    y = contract(x.astype(self.dtype), kernel.astype(self.dtype), self.axes)
    if self.use_bias:
      y += self.param('bias', self.bias_init, features, jnp.float32).astype(self.dtype)
    return y


def fan_init(mode: str, distribution: str, axes: int = 1, groups: int = 0) -> Callable:
  """Variance-scaling initialiser for a `Dense` kernel.

  Args:
    mode: 'fan_in' (LeCun) or 'fan_avg' (Glorot, Xavier).
    distribution: 'truncated_normal', 'normal' or 'uniform'.
    axes: How many leading axes are contracted (the fan in).
    groups: How many axes after these count independent matrices (3 for q, k, v), not fan out.
  """

  def init(key, shape, dtype=jnp.float32):
    fan_in = math.prod(shape[:axes])
    fan_out = math.prod(shape[axes + groups :])
    flat = (math.prod(shape[axes : axes + groups]), fan_in, fan_out)
    scaling = nn.initializers.variance_scaling(1.0, mode, distribution, batch_axis=(0,))
    return jnp.moveaxis(scaling(key, flat, dtype), 0, 1).reshape(shape)

  return init


def contract(
  x: Float[Array, '...'], kernel: Float[Array, '...'], axes: int = 1
) -> Float[Array, '...']:
  """The last `axes` of x with the first `axes` of the kernel.

  XLA:CPU runs the gradient of the kernel at half speed in the orientation that jax gives it, so
  there it has a rule of its own with the same numbers. It rules out forward-mode differentiation
  (`jax.jvp`) on CPU; `jax.grad` of any order works.
  """
  if jax.default_backend() == 'cpu':
    return _cpu_contract(x, kernel, axes)
  return _contract(x, kernel, axes)


def _contract(x, kernel, axes):
  dims = tuple(range(x.ndim - axes, x.ndim)), tuple(range(axes))
  return jax.lax.dot_general(x, kernel, (dims, ((), ())))


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _cpu_contract(x, kernel, axes):
  return _contract(x, kernel, axes)


def _forward(x, kernel, axes):
  return _contract(x, kernel, axes), (x, kernel)


def _backward(axes, residuals, dy):
  x, kernel = residuals
  rows, features = x.ndim - axes, kernel.ndim - axes
  # Without the barrier the transposition below is fused into whatever made dy (GELU's gradient),
  # which is then written with a stride of thousands of bytes.
  dy = jax.lax.optimization_barrier(dy)
  last, trailing = tuple(range(rows, dy.ndim)), tuple(range(axes, kernel.ndim))
  dx = jax.lax.dot_general(dy, kernel, ((last, trailing), ((), ())))
  # The left operand is the one that is transposed in memory: let it be the smaller.
  batch = (tuple(range(rows)),) * 2, ((), ())
  if math.prod(kernel.shape[:axes]) <= math.prod(kernel.shape[axes:]):
    dkernel = jax.lax.dot_general(x, dy, batch)
  else:
    dkernel = jax.lax.dot_general(dy, x, batch)
    dkernel = dkernel.transpose(*range(features, dkernel.ndim), *range(features))
  return dx, dkernel


_cpu_contract.defvjp(_forward, _backward)
