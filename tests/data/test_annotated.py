"""Splits of pictures with boxes: what they hold, and what parts of them keep."""

import numpy as np
import pytest

from vitlab.data import Dataset, splits
from vitlab.data.annotated import AnnotatedArrays
from vitlab.data.annotations import Annotation


def annotation(number, boxes, height=6, width=8):
  boxes = np.array(boxes, np.float64).reshape(-1, 4)
  none = np.zeros(len(boxes), bool)
  classes, area = np.zeros(len(boxes), np.int64), np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
  return Annotation(f'{number}.png', number, height, width, boxes, classes, area, none, none)


@pytest.fixture
def arrays():
  truth = [annotation(number, [[0, 0, number + 1, 2]]) for number in range(5)]
  return AnnotatedArrays(dict(image=np.arange(5)[:, None]), truth)


def test_in_memory_with_truth(arrays):
  assert arrays.describe(3) == '3.png' and arrays.truth(3).boxes[0, 2] == 4


def test_a_part_keeps_its_truth_and_stays_in_memory(arrays):
  part = splits.select(Dataset(dict(train=arrays, test=arrays), {}), 'train[1:3]+test[4:]')
  assert [part.truth(i).image_id for i in range(3)] == [1, 2, 4]
  assert part.arrays['image'].ravel().tolist() == [1, 2, 4]
  assert part[2]['image'] == 4
