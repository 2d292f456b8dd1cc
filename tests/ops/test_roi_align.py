"""RoIAlign and its gradient against torchvision's, in float64; levels of a pyramid; every trap."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import torchvision_shim  # noqa: F401
from torchvision.ops import MultiScaleRoIAlign, poolers
from torchvision.ops import roi_align as reference

from vitlab.ops.roi_align import multilevel_roi_align, pyramid_level, roi_align

RNG = np.random.default_rng(0)
MAP = RNG.normal(size=(2, 6, 9, 3))
COUNT = jnp.arange(16.0).reshape(4, 4, 1)  # 4 y + x


def random_boxes(b, n, size=(48, 72)):
  """In and around a picture of this height and width; the last are empty, tiny and all of it."""
  low = RNG.uniform(-10, 50, (b, n, 2))
  boxes = np.concatenate([low, low + RNG.uniform(0, 40, (b, n, 2))], -1)
  boxes[:, -3:] = [[7, 9, 7, 9], [20, 20, 21, 20.5], [0, 0, size[1], size[0]]]
  return boxes


@pytest.mark.parametrize('aligned', [False, True])
@pytest.mark.parametrize('sampling_ratio', [1, 2, 3])
def test_values_and_gradient(x64, sampling_ratio, aligned):
  boxes, slope = random_boxes(2, 20), RNG.normal(size=(2, 20, 3, 3, 3))
  maps = torch.tensor(MAP, requires_grad=True)
  channels_first = maps.permute(0, 3, 1, 2)
  lists = [torch.tensor(each) for each in boxes]
  expected = reference(channels_first, lists, 3, 1 / 8, sampling_ratio, aligned)
  expected = expected.permute(0, 2, 3, 1).reshape(slope.shape)
  (gradient,) = torch.autograd.grad((expected * torch.tensor(slope)).sum(), maps)

  @jax.jit
  def ours(maps, boxes, slope):
    align = jax.vmap(lambda *a: roi_align(*a, 3, 1 / 8, sampling_ratio, aligned))
    values, pull = jax.vjp(lambda maps: align(maps, boxes), maps)
    return values, pull(slope)[0]

  values, slopes = ours(jnp.asarray(MAP), boxes, slope)
  np.testing.assert_allclose(values, expected.detach(), atol=1e-12)
  np.testing.assert_allclose(slopes, gradient, atol=1e-11)


def test_each_box_is_read_from_its_own_level(x64):
  sides = [(16, 24), (8, 12), (4, 6)]
  maps = [RNG.normal(size=(2, *side, 3)) for side in sides]
  boxes = random_boxes(2, 24, (64, 96))
  boxes[:, :8, 2:] = boxes[:, :8, :2] + np.linspace(60, 300, 8)[:, None]
  pooler = MultiScaleRoIAlign(['0', '1', '2'], 2, 2)
  channels_first = {str(i): torch.tensor(map).permute(0, 3, 1, 2) for i, map in enumerate(maps)}
  lists = [torch.tensor(each) for each in boxes]
  expected = pooler(channels_first, lists, [(64, 96)] * 2).permute(0, 2, 3, 1)
  scales = [1 / 4, 1 / 8, 1 / 16]
  align = jax.jit(jax.vmap(lambda maps, boxes: multilevel_roi_align(maps, boxes, 2, scales)))
  values = align([jnp.asarray(map) for map in maps], boxes)
  assert len(np.unique(pyramid_level(jnp.asarray(boxes[0]), scales))) == 3
  np.testing.assert_allclose(values.reshape(expected.shape), expected, atol=1e-12)


def test_levels_at_their_limits():
  side = np.array([0, 1, 55.99, 56, 111.99, 112, 113, 223.9, 224, 447, 448, 900], np.float32)
  boxes = np.stack([0 * side, 0 * side, side, side], -1)
  mapper = poolers.LevelMapper(2, 5)
  expected = mapper([torch.tensor(boxes)])
  got = pyramid_level(jnp.asarray(boxes), [1 / 4, 1 / 8, 1 / 16, 1 / 32])
  assert got.tolist() == expected.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
  'box, expected',
  [
    ([0, 0, 4, 4], (10, 7.5)),  # half a cell apart
    ([1, 1, 1.5, 1.5], (7.5, 3.75)),  # no box below one cell, if not aligned
    ([3, 3, 6, 6], (15, 15)),  # the edge goes on
    ([-3, -3, -1.5, -1.5], (0, 0)),
  ],
)
def test_one_sample_by_hand(box, expected):
  box = jnp.array([box], jnp.float32)
  for aligned, value in zip((False, True), expected, strict=True):
    assert roi_align(COUNT, box, 1, 1.0, 1, aligned).item() == value


def test_bins_are_rows_by_columns():
  bins = roi_align(COUNT, jnp.array([[0.0, 0, 4, 4]]), 2, 1.0, 2, True)
  assert bins[0, ..., 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]


def test_a_map_in_half_precision_is_summed_in_float32():
  maps = jnp.asarray(MAP[0], jnp.bfloat16)
  box = jnp.array([[3.0, 5, 60, 40]])
  exact = roi_align(maps.astype(jnp.float32), box, 2, 1 / 8, 4)
  values, pull = jax.vjp(lambda maps: roi_align(maps, box, 2, 1 / 8, 4), maps)
  assert values.dtype == pull(values)[0].dtype == jnp.bfloat16
  np.testing.assert_array_equal(values, exact.astype(jnp.bfloat16))


def test_a_sample_on_the_last_cell_reads_no_cell_of_the_next_row():
  box = jnp.array([[3.0, 0, 4, 1]])
  values = roi_align(COUNT.at[1, 0].set(jnp.nan), box, 1, 1.0, 1, True)
  assert values.item() == 3
