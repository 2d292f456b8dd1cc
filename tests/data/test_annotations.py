"""What is learned from an annotation: DETR's targets; and where it is in the file's picture."""

import numpy as np
from _helpers.boxes import annotation

from vitlab.data.annotations import in_file, rows_for, trainable, training_rows


def test_the_targets_of_detr():
  """As its own code gives them for these annotations: cut at the edge, what is empty dropped."""
  truth = annotation(
    [[620, 470, 670, 500], [100, 100, 100, 120], [10, 20, 40, 60]],
    classes=[3, 1, 2],
    crowd=[False, False, True],
  )
  boxes, classes = training_rows(truth, (480, 640), 4)
  np.testing.assert_array_equal(boxes, [[620, 470, 640, 480], [0] * 4, [0] * 4, [0] * 4])
  np.testing.assert_array_equal(classes, [3, -1, -1, -1])
  assert truth.area[0] == 1500  # the truth is what the file says


def test_boxes_follow_the_scaled_picture():
  boxes, classes = training_rows(annotation([[64, 48, 320, 240]]), (240, 160), 4)
  np.testing.assert_allclose(boxes[0], [16, 24, 80, 120])
  assert boxes.dtype == np.float32 and classes.dtype == np.int32


def test_what_lies_outside_and_what_is_difficult():
  truth = annotation(
    [[700, 10, 720, 20], [-10, -10, 5, 5], [5, 5, 9, 9]], difficult=[False, False, True]
  )
  assert trainable(truth).tolist() == [False, True, True]
  boxes, classes = training_rows(truth, (480, 640), 4)
  np.testing.assert_array_equal(boxes[:2], [[0, 0, 5, 5], [5, 5, 9, 9]])
  assert classes.tolist() == [1, 2, -1, -1]


def test_a_picture_without_objects():
  boxes, classes = training_rows(annotation([]), (480, 640), 4)
  assert not boxes.any() and (classes == -1).all()


def test_rows_are_few_numbers():
  assert [rows_for(n) for n in (0, 1, 4, 5, 93)] == [4, 4, 4, 8, 96]


def test_boxes_of_the_padded_picture_become_boxes_of_the_file():
  # A picture of 480 x 640 was seen as 120 x 160 of a canvas that may be larger.
  found = in_file(np.float32([[10, 20, 160, 120]]), np.int32([120, 160]), (480, 640))
  np.testing.assert_array_equal(found, [[40, 80, 640, 480]])
  assert found.dtype == np.float64


def test_height_and_width_have_scales_of_their_own():
  found = in_file(np.float32([[1, 1, 2, 2]]), np.int32([10, 20]), (30, 40))
  np.testing.assert_array_equal(found, [[2, 3, 4, 6]])
