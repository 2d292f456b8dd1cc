"""The parts of Darknet; that the whole computes what others' do, `test_yolo_parity` shows."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from vitlab.layers import darknet


class Same(nn.Module):
  """What it is given, times a factor."""

  factor: float = 1.0

  def __call__(self, x, train=False):
    return self.factor * x


def picture(*shape):
  return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_pooling_sees_5_9_and_13_pixels():
  """On a map that is smaller than the largest window, too."""
  x = picture(1, 7, 20, 2)
  pool = darknet.SpatialPyramidPooling(Same(), Same())
  got = pool.apply({}, jnp.asarray(x)).transpose(0, 3, 1, 2)
  x = torch.tensor(x.transpose(0, 3, 1, 2))
  maps = [x, *(F.max_pool2d(x, size, 1, size // 2) for size in (5, 9, 13))]
  np.testing.assert_array_equal(got, torch.cat(maps, 1))


def test_focus_takes_the_lower_left_pixel_second():
  x = jnp.arange(4.0).reshape(1, 2, 2, 1) + jnp.array([0, 10])
  got = darknet.Focus(Same()).apply({}, x)
  assert got[0, 0, 0].tolist() == [0, 10, 2, 12, 1, 11, 3, 13]


def test_a_bottleneck_adds_only_where_it_is_to():
  x = jnp.ones((1, 2, 2, 1))
  for add, expected in (True, 7), (False, 6):
    block = darknet.Bottleneck(Same(2.0), Same(3.0), add)
    assert block.apply({}, x)[0, 0, 0, 0] == expected


def test_half_of_the_channels_passes_by_the_blocks():
  stage = darknet.CrossStage(Same(2.0), Same(5.0), [Same(3.0), Same(3.0)], Same())
  assert stage.apply({}, jnp.ones((1, 1, 1, 1)))[0, 0, 0].tolist() == [18, 5]


def test_a_separable_convolution_is_one_of_channels_and_one_of_pixels():
  layers = darknet.Layers(nn.BatchNorm, nn.silu, True, jnp.dtype('float32'))
  pair = layers.spatial(6, 8, stride=2)
  assert (pair.depthwise.conv.groups, pair.depthwise.conv.size) == (6, 3)
  assert (pair.depthwise.conv.stride, pair.pointwise.conv.stride) == (2, 1)
  assert (pair.pointwise.conv.groups, pair.pointwise.conv.size) == (1, 1)


def test_darknet_leaks_a_tenth():
  assert darknet.leaky_relu(jnp.array([-1.0, 2])).tolist() == [np.float32(-0.1), 2]


def test_what_is_added_to_a_picture_is_zero():
  x = jnp.asarray(picture(2, 40, 70, 3))
  larger = darknet.padded(x, 32)
  assert larger.shape == (2, 64, 96, 3) and (larger[:, :40, :70] == x).all()
  assert (larger[:, 40:] == 0).all() and (larger[:, :, 70:] == 0).all()
  assert darknet.padded(larger, 32).shape == larger.shape


def test_a_backbone_gives_the_map_after_every_stage():
  body = darknet.Backbone(Same(2.0), [Same(3.0), Same(5.0)])
  levels = jax.tree.map(float, [x.sum() for x in body.apply({}, jnp.ones((1, 1, 1, 1)))])
  assert levels == [6, 30]
