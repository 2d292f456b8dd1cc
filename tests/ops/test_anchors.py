"""Anchors against torchvision's generator."""

import numpy as np
import torch
from _helpers import torchvision_shim  # noqa: F401
from torchvision.models.detection.anchor_utils import AnchorGenerator

from vitlab.ops import anchors


def test_a_cell_has_whole_pixels():
  sizes, ratios = (32, 45.3, 64), (0.5, 1.0, 2.0)
  cell = anchors.cell_anchors(sizes, ratios)
  np.testing.assert_array_equal(cell, AnchorGenerator((sizes,), (ratios,)).cell_anchors[0])
  assert cell[0].tolist() == [-23, -11, 23, 11]  # not 22.6, 11.3: wide first, then square
  assert cell[3].tolist() == [-16, -16, 16, 16]
  np.testing.assert_array_equal(anchors.cell_anchors([5], [1.0]), [[-2, -2, 2, 2]])  # half to even


def test_the_grid_starts_in_the_corner_and_goes_row_by_row():
  generator = AnchorGenerator(((32, 64), (128,)), ((0.5, 2.0),) * 2)
  sides, strides = [(2, 3), (1, 2)], [(8, 16), (16, 24)]
  expected = generator.grid_anchors(sides, [list(map(torch.tensor, each)) for each in strides])
  for cell, side, stride, want in zip(
    generator.cell_anchors, sides, strides, expected, strict=True
  ):
    np.testing.assert_array_equal(anchors.grid(*side, stride, cell.numpy()), want)
  one = anchors.grid(1, 2, 8, np.array([[-1.0, -2, 1, 2]], np.float32))
  assert one.tolist() == [[-1, -2, 1, 2], [7, -2, 9, 2]]  # not half a cell further


def test_centres():
  assert anchors.centres(2, 2, 8).tolist() == [[4, 4], [12, 4], [4, 12], [12, 12]]
