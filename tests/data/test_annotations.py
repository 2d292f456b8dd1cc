import numpy as np

from vitlab.data import annotations


def test_boxes_of_the_padded_picture_become_boxes_of_the_file():
  # A picture of 480 x 640 was seen as 120 x 160 of a canvas that may be larger.
  found = annotations.in_file(np.float32([[10, 20, 160, 120]]), np.int32([120, 160]), (480, 640))
  np.testing.assert_array_equal(found, [[40, 80, 640, 480]])
  assert found.dtype == np.float64


def test_height_and_width_have_scales_of_their_own():
  found = annotations.in_file(np.float32([[1, 1, 2, 2]]), np.int32([10, 20]), (30, 40))
  np.testing.assert_array_equal(found, [[2, 3, 4, 6]])
