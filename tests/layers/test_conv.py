"""Convolution and pooling have torch's numbers, gradients included, and TensorFlow's padding."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import timm.layers
import torch

from vitlab.errors import UserError
from vitlab.layers.conv import Conv, max_pool, mean_pool, standardized, window_mean

NUMBERS = np.random.default_rng(0)
MAP = NUMBERS.normal(2, 1, (2, 7, 10, 4))
KERNELS = {size: NUMBERS.normal(0.3, 1, (size, size, 4, 6)) for size in (1, 3, 7)}
BIAS = NUMBERS.normal(size=6)
TORCH = {
  'symmetric': torch.nn.Conv2d,
  'same': timm.layers.Conv2dSame,
  'symmetric standardized': partial(timm.layers.StdConv2d, eps=1e-6),
  'same standardized': partial(timm.layers.StdConv2dSame, eps=1e-6),
}


def differentiated(function, *arrays):
  """Result of a function, and the gradients of the sum of its sine."""

  @jax.jit
  def run(*arrays):
    def functional(*arrays):
      y = function(*arrays)
      return jnp.sin(y).sum(), y

    argnums = tuple(range(len(arrays)))
    grads, y = jax.grad(functional, argnums, has_aux=True)(*arrays)
    return y, *grads

  return run(*map(jnp.asarray, arrays))


def channels_first(x):
  return torch.tensor(np.asarray(x).transpose(0, 3, 1, 2), requires_grad=True)


def assert_close(ours, theirs):
  for a, b in zip(ours, theirs, strict=True):
    b = b.detach().numpy()
    np.testing.assert_allclose(a, b.transpose(0, 2, 3, 1) if b.ndim == 4 else b, atol=1e-11)


@pytest.mark.parametrize(
  ('kind', 'size', 'stride', 'groups', 'dilation'),
  [
    *[
      ('symmetric', *numbers, 1)
      for numbers in [(1, 1, 1), (1, 2, 1), (1, 2, 2), (3, 1, 1), (7, 2, 1)]
    ],
    *[('same', *numbers, 1) for numbers in [(1, 2, 1), (3, 2, 2), (7, 2, 1)]],
    ('symmetric standardized', 3, 2, 1, 1),
    ('same standardized', 3, 2, 2, 1),
    ('symmetric', 3, 1, 1, 2),
    ('symmetric', 3, 2, 2, 4),
  ],
)
def test_equals_torch(kind, size, stride, groups, dilation, x64):
  padding, _, standardize = kind.partition(' ')
  kernel = KERNELS[size][:, :, : 4 // groups]
  zeros = (
    size // 2 * dilation if kind != 'same standardized' else 'same'
  )  # Conv2dSame finds its own
  options = dict(padding=zeros, groups=groups, dilation=dilation, bias=True)
  theirs = TORCH[kind](4, 6, size, stride, **options).double()
  weight = torch.tensor(kernel.transpose(3, 2, 0, 1))
  theirs.load_state_dict(dict(weight=weight, bias=torch.tensor(BIAS)))
  x = channels_first(MAP)
  y = theirs(x)
  y.sin().sum().backward()
  conv = Conv(
    6, size, stride, groups, True, padding, dilation, bool(standardize), dtype=jnp.float64
  )

  def ours(x, kernel, bias):
    return conv.apply({'params': {'kernel': kernel, 'bias': bias}}, x)

  y_, dx, dkernel, dbias = differentiated(ours, MAP, kernel, BIAS)
  assert_close([y_, dx, dbias], [y, x.grad, theirs.bias.grad])
  np.testing.assert_allclose(dkernel.transpose(3, 2, 0, 1), theirs.weight.grad, atol=1e-10)


@pytest.mark.parametrize(
  ('size', 'padding', 'stride'),
  [((1, 7), 'symmetric', 1), ((7, 1), 'symmetric', 1), ((1, 3), 'none', 2), ((3, 1), 'same', 2)],
)
def test_kernels_that_are_not_square(size, padding, stride, x64):
  """Rows and columns are not taken for each other, nor are their paddings."""
  kernel = NUMBERS.normal(size=(*size, 4, 6))
  x, weight = channels_first(MAP), torch.tensor(kernel.transpose(3, 2, 0, 1), requires_grad=True)
  pads = dict(symmetric=[side // 2 for side in size], none=0, same=0)[padding]
  # At (7, 10) pixels with stride 2, 'same' is a zero at both ends of a column, and none in a row.
  given = torch.nn.functional.pad(x, (0, 0, 1, 1)) if padding == 'same' else x
  y = torch.nn.functional.conv2d(given, weight, stride=stride, padding=pads)
  y.sin().sum().backward()
  conv = Conv(6, size, stride, padding=padding, dtype=jnp.float64)
  ours = lambda x, kernel: conv.apply({'params': {'kernel': kernel}}, x)  # noqa: E731
  y_, dx, dkernel = differentiated(ours, MAP, kernel)
  assert_close([y_, dx], [y, x.grad])
  np.testing.assert_allclose(dkernel.transpose(3, 2, 0, 1), weight.grad, atol=1e-10)


@pytest.mark.parametrize('count_padding', [True, False])
def test_window_mean_equals_torch(count_padding, x64):
  x = channels_first(MAP)
  y = torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=count_padding)
  y.sin().sum().backward()
  ours = differentiated(partial(window_mean, size=3, count_padding=count_padding), MAP)
  assert_close(ours, [y, x.grad])


def test_max_pool_without_padding(x64):
  x = channels_first(MAP)
  assert_close(
    [max_pool(jnp.asarray(MAP), 3, 2, 'none')], [torch.nn.functional.max_pool2d(x, 3, 2)]
  )


def test_paddings_differ_only_where_there_is_a_stride(x64):
  f = lambda padding, stride: Conv(6, 3, stride, padding=padding, dtype=jnp.float64).apply(  # noqa: E731
    {'params': {'kernel': jnp.asarray(KERNELS[3])}}, jnp.asarray(MAP)
  )
  np.testing.assert_array_equal(f('same', 1), f('symmetric', 1))
  same, symmetric = f('same', 2), f('symmetric', 2)
  assert same.shape == symmetric.shape == (2, 4, 5, 6)
  assert abs(same - symmetric).max() > 1
  with pytest.raises(UserError, match="unknown padding 'valid': .*same, symmetric"):
    f('valid', 1)


@pytest.mark.parametrize(('size', 'stride'), [(3, 2), (2, 2), (3, 1)])
def test_max_pool_equals_torch(size, stride, x64):
  x = channels_first(MAP - 10)  # zeros in the padding would win
  y = torch.nn.functional.max_pool2d(x, size, stride, (size - 1) // 2)
  y.sin().sum().backward()
  ours = differentiated(partial(max_pool, size=size, stride=stride), MAP - 10)
  assert_close(ours, [y, x.grad])


def test_max_pool_with_the_padding_of_tensorflow(x64):
  x = channels_first(MAP - 10)
  y = timm.layers.create_pool2d('max', 3, 2, padding='same')(x)
  assert_close([max_pool(jnp.asarray(MAP - 10), 3, 2, 'same')], [y])


def test_equal_values_share_the_gradient_of_their_maximum():
  gradient = jax.grad(lambda x: max_pool(x, 2, 2).sum())(jnp.ones((1, 2, 2, 1)))
  assert gradient.sum() == 1 and gradient.min() > 0


def test_a_standardized_kernel_has_filters_of_mean_0_and_variance_1():
  kernel = standardized(jnp.asarray(KERNELS[3], jnp.float32))
  np.testing.assert_allclose(kernel.mean((0, 1, 2)), 0, atol=1e-6)
  np.testing.assert_allclose(kernel.var((0, 1, 2)), 1, atol=1e-5)


def test_kernels_keep_the_variance_of_gradients_and_stay_float32():
  x = jnp.ones((1, 4, 4, 64), jnp.bfloat16)
  y, variables = Conv(32, 3, dtype=jnp.bfloat16).init_with_output(jax.random.key(0), x)
  kernel = variables['params']['kernel']
  assert (kernel.shape, kernel.dtype, y.dtype) == ((3, 3, 64, 32), jnp.float32, jnp.bfloat16)
  np.testing.assert_allclose(kernel.var(), 2 / (9 * 32), rtol=0.05)


def test_the_mean_of_16_bit_maps_is_taken_in_float32():
  x = jnp.full((1, 64, 64, 1), 1.5, jnp.bfloat16)
  y = mean_pool(x)
  assert (y.dtype, float(y[0, 0])) == (jnp.bfloat16, 1.5)
