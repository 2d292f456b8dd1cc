"""Blocks of SAGAN beyond their parity (tests/models/test_sagan_parity.py): maps, and shortcuts."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vitlab.errors import UserError
from vitlab.layers.gan_blocks import DiscriminatorBlock, double, half, told_batchnorm
from vitlab.layers.spectral import SpectralConv

MAP = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)


@pytest.mark.parametrize(
  ('ours', 'theirs'),
  [
    (double, partial(F.interpolate, scale_factor=2, mode='bilinear')),
    (half, partial(F.avg_pool2d, kernel_size=2)),
  ],
)
def test_maps_grow_and_shrink_as_torch_s(ours, theirs):
  their = theirs(torch.tensor(MAP.transpose(0, 3, 1, 2))).permute(0, 2, 3, 1)
  np.testing.assert_allclose(ours(jnp.asarray(MAP)), their, atol=1e-6)


def test_odd_maps_are_not_halved():
  with pytest.raises(UserError, match='3×6 pixels cannot be halved'):
    half(jnp.asarray(MAP[:, :3]))


@pytest.mark.parametrize(('first', 'halves'), [(True, True), (False, True), (False, False)])
def test_shortcuts_carry_what_is_negative(first, halves):
  """Where the branch is silent the block is its shortcut: of x, and not of relu(x)."""
  x = jnp.asarray(MAP)
  block = DiscriminatorBlock(3, SpectralConv, first, halves)
  variables = block.init(jax.random.key(0), x)
  variables['spectral']['conv2']['u'] *= 1e12  # what the last kernel is divided by
  shortcut = x
  if halves:
    part = {name: tree['conv_shortcut'] for name, tree in variables.items()}
    shortcut = SpectralConv(3, 1).apply(part, half(x))
  np.testing.assert_allclose(block.apply(variables, x), shortcut, atol=1e-6)


@pytest.mark.parametrize('num_classes', [0, 3])
def test_a_batchnorm_is_told_the_classes_if_there_are_any(num_classes):
  class Net(nn.Module):
    @nn.compact
    def __call__(self, x, label, train=False):
      return told_batchnorm(num_classes, jnp.float32, 'norm')(x, label, train)

  x, label = jnp.asarray(MAP), jnp.array([0, 2])
  variables = Net().init(jax.random.key(0), x, label)
  scale = variables['params']['norm']['scale']
  assert scale.shape == ((3, 3) if num_classes else (3,))
  y, other = (Net().apply(variables, x, told) for told in (label, label[::-1]))
  assert (abs(y - other).max() > 1e-4) == bool(num_classes)
  # In training by the statistics of the whole batch, whatever its classes.
  y, _ = Net().apply(variables, x, label, True, mutable='batch_stats')
  of_row = scale[label][:, None, None] if num_classes else scale
  np.testing.assert_allclose(
    y / of_row, (MAP - MAP.mean((0, 1, 2))) / MAP.std((0, 1, 2)), atol=1e-3
  )
