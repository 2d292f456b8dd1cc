"""What is found, in pixels of the files, and without what overlaps a surer box of its class."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import numpy as np
import pytest
import torch
from _helpers.detections import BOX, FAR, Found, Truth, predictions
from torchvision.ops import batched_nms

from vitlab.errors import UserError
from vitlab.evaluators import _detected


def read(pictures, **how):
  return list(_detected.read(predictions(pictures, **how)('detections', 'test'), 3))


def test_boxes_are_in_pixels_of_the_file():
  boxes = np.array([[[1, 2, 3, 4], [0, 0, 0, 0]]], np.float32)
  found = dict(boxes=boxes, scores=np.array([[0.5, 0]]), classes=np.array([[2, -1]]))
  truth = predictions([([Truth(BOX)], [])])('detections', 'test').__next__()[1]['truth'][0]
  truth = truth._replace(height=30, width=40)
  batch = dict(index=np.array([7]), size=np.array([[10, 20]]), truth=[truth])  # height, width
  (picture,) = _detected.read(iter([(found, batch)]), 3)
  assert picture.index == 7 and picture.boxes.tolist() == [[2, 6, 6, 12]]
  assert picture.scores.tolist() == [0.5] and picture.classes.tolist() == [2]


def test_empty_rows_and_other_classes_are_left_out():
  (picture,) = read([([], [Found(BOX, 0.9), Found(FAR, 0.8, label=3)])], padding=5)
  assert picture.boxes.tolist() == [[0, 0, 10, 10]]


@pytest.mark.parametrize('seed', range(4))
def test_suppression_is_that_of_torchvision(seed):
  rng = np.random.default_rng(seed)
  box = lambda: (*rng.integers(0, 20, 2), *rng.integers(0, 12, 2))  # noqa: E731
  found = [Found(box(), rng.integers(1, 9) / 8, int(rng.integers(3))) for _ in range(60)]
  (picture,) = read([([], found)])
  arrays = picture.boxes, picture.scores, picture.classes
  kept = batched_nms(*(torch.tensor(x) for x in arrays), 0.3).numpy()
  suppressed = _detected.suppressed(picture, 0.3)
  assert suppressed.boxes.tolist() == picture.boxes[kept].tolist()
  assert suppressed.classes.tolist() == picture.classes[kept].tolist()
  assert 0 < len(kept) < 60


def test_of_nothing_nothing_is_suppressed():
  (picture,) = read([([], [])])
  assert len(_detected.suppressed(picture, 0.5).boxes) == 0


@pytest.mark.parametrize('found', [Found(BOX, np.nan), Found((0, 0, np.inf, 1), 0.5)])
def test_what_is_not_finite_is_refused(found):
  with pytest.raises(
    UserError, match='1.png: the model finds a box or a score that is not a finite'
  ):
    read([([Truth(BOX)], [found])])


def test_an_object_of_a_class_that_is_not_listed_is_refused():
  with pytest.raises(UserError, match='1.png: an object of class 3, of 3 classes'):
    read([([Truth(BOX, label=3)], [])])
