"""The shapes that pictures are padded to."""

import numpy as np
import pytest

from vitlab.data import fitted


def test_one_number_is_one_shape_and_two_are_three():
  assert fitted.shapes((64, 64)) == ((64, 64),)
  assert fitted.shapes((48, 64)) == ((48, 64), (64, 48), (64, 64))


@pytest.mark.parametrize(
  ('size', 'canvas', 'placed'),
  [
    ((480, 640), (48, 64), (48, 64)),
    ((640, 480), (64, 48), (64, 48)),
    ((100, 100), (48, 64), (48, 48)),
    ((100, 400), (48, 64), (16, 64)),
    ((400, 100), (64, 48), (64, 16)),
    ((1, 10_000), (48, 64), (1, 64)),
    ((3, 4), (48, 64), (48, 64)),
    ((427, 640), (48, 64), (43, 64)),
  ],
)
def test_a_picture_keeps_its_aspect_and_fits(size, canvas, placed):
  assert fitted.canvas(size, (48, 64)) == canvas
  assert fitted.placed(size, (48, 64)) == placed


def test_no_picture_is_larger_than_its_shape():
  for height in range(1, 200, 7):
    for width in range(1, 200, 5):
      canvas = fitted.canvas((height, width), (48, 64))
      placed = fitted.placed((height, width), (48, 64))
      assert all(1 <= side <= whole for side, whole in zip(placed, canvas))
      assert any(side == whole for side, whole in zip(placed, canvas))


def test_the_smallest_shape_that_covers():
  shapes = fitted.shapes((48, 64))
  wide, tall, square = [[43, 64]], [[64, 16]], [[48, 48]]
  cover = lambda *sizes: fitted.covering(shapes, np.array(sum(sizes, [])))  # noqa: E731
  assert cover(wide) == cover(wide, square) == cover(square) == (48, 64)
  assert cover(tall) == cover(tall, square) == (64, 48)
  assert cover(wide, tall, square) == (64, 64)


def test_padding_is_below_and_right():
  image = fitted.pad(np.ones((2, 3, 1), np.uint8), (4, 4))
  assert image.shape == (4, 4, 1) and image[:2, :3].all() and image.sum() == 6


def test_pictures_of_one_orientation_need_one_shape():
  wide, tall, square = [43, 64], [64, 16], [48, 48]
  need = lambda *sizes: fitted.needed((48, 64), np.array(sizes))  # noqa: E731
  assert need(wide, square) == need(square) == ((48, 64),)
  assert need(tall) == need(tall, tall) == ((64, 48),)
  assert need(wide, tall) == need(square, tall) == fitted.shapes((48, 64))
  assert fitted.needed((64, 64), np.array([wide, tall])) == ((64, 64),)
