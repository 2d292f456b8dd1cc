"""Boxes lie on the pixels that they are of; words stay in the picture."""

import numpy as np
import pytest
from PIL import Image

from vitlab.predict import drawing

GREY = 128


def drawn(size, boxes, labels=None, classes=None):
  picture = Image.new('RGB', size, (GREY,) * 3)
  boxes = np.array(boxes, np.float64)
  classes = np.zeros(len(boxes), int) if classes is None else np.array(classes)
  return np.asarray(drawing.draw(picture, boxes, labels or ['x'] * len(boxes), classes))


def test_the_line_lies_on_the_outer_pixels_of_the_box():
  found = (drawn((640, 480), [[100, 200, 300, 400]]) == drawing.colour(0)).all(-1)
  rows, columns = np.nonzero(found[200:])  # below the words
  assert (rows.min(), rows.max()) == (0, 199) and (columns.min(), columns.max()) == (100, 299)
  assert found[205:395, 100:102].all() and not found[205:395, 102:298].any()


def test_small_pictures_are_enlarged_with_their_boxes():
  image = drawn((64, 48), [[16, 24, 32, 48]])
  assert image.shape == (8 * 48, 8 * 64, 3)
  rows, columns = np.nonzero((image == drawing.colour(0)).all(-1)[24 * 8 :])
  assert (columns.min(), columns.max(), rows.max()) == (16 * 8, 32 * 8 - 1, 24 * 8 - 1)


@pytest.mark.parametrize(
  'box', [[0, 0, 10, 10], [590, 0, 640, 30], [0, 470, 640, 480], [639, 479, 640, 480]]
)
def test_words_stay_in_the_picture(box):
  """All of them can be read, wherever the box is: as much ink as in the middle."""
  label = 'Platelets 0.93'
  light = lambda image: (image.min(-1) > 200).sum()  # noqa: E731
  middle = light(drawn((640, 480), [[300, 200, 340, 300]], [label]))
  assert middle > 50
  assert abs(light(drawn((640, 480), [box], [label])) - middle) <= 0.05 * middle


def test_what_is_first_lies_on_top():
  image = drawn((640, 480), [[100, 100, 300, 300]] * 2, classes=[1, 0])
  assert (image[200, 100] == drawing.colour(1)).all()


def test_colours_of_neighbours_differ():
  colours = np.array([drawing.colour(i) for i in range(12)])
  apart = np.abs(colours[:, None] - colours).sum(-1)[~np.eye(12, dtype=bool)]
  assert apart.min() > 80


def test_boxes_without_area_and_no_boxes():
  assert (drawn((640, 480), np.zeros((0, 4))) == GREY).all()
  image = drawn((640, 480), [[100, 100, 100, 100]], [''])
  assert (image[100, 100] == drawing.colour(0)).all()
