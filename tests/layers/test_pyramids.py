"""Pyramids: what each map comes to know; `test_yolo_parity` shows that they are YOLO's."""

import flax.linen as nn
import jax.numpy as jnp

from vitlab.layers.pyramids import TopDown, TopDownBottomUp, doubled


class Sum(nn.Module):
  """The sum over channels times a factor, of every so many pixels: one channel."""

  factor: float = 1.0
  stride: int = 1

  def __call__(self, x, train=False):
    return self.factor * x.sum(-1, keepdims=True)[:, :: self.stride, :: self.stride]


# Values of which every sum tells what is in it.
LEVELS = [jnp.full((1, 8 // 2**i, 12 // 2**i, 1), 10.0**i) for i in range(3)]


def values(maps):
  assert [x.shape for x in maps] == [x.shape for x in LEVELS]
  assert all((x == x[0, 0, 0, 0]).all() for x in maps)
  return [float(x[0, 0, 0, 0]) for x in maps]


def test_down():
  pyramid = TopDown([Sum(2.0), Sum(3.0)], [Sum(), Sum()])
  assert values(pyramid.apply({}, LEVELS)) == [1 + 3 * 210, 10 + 2 * 100, 100]


def test_down_and_up():
  """Up, a map meets what was reduced of the one of its size, not that one itself."""
  down = [Sum(2.0), Sum(3.0)], [Sum(), Sum()]
  pyramid = TopDownBottomUp(*down, [Sum(5.0, 2), Sum(7.0, 2)], [Sum(), Sum()])
  fine = 1 + 3 * 210
  middle = 5 * fine + 3 * 210
  assert values(pyramid.apply({}, LEVELS)) == [fine, middle, 7 * middle + 2 * 100]


def test_doubled_is_the_nearest_pixel():
  x = jnp.arange(4.0).reshape(1, 2, 2, 1)
  assert doubled(x)[0, ..., 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
