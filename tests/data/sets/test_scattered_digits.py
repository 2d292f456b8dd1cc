"""Digits scattered over a picture: theirs by index, and the boxes are where they are."""

import numpy as np
import pytest

from vitlab.data import pipeline, splits
from vitlab.data.identity import digest_of
from vitlab.data.sets import digits, scattered_digits
from vitlab.errors import UserError


@pytest.fixture(scope='module')
def dataset():
  return scattered_digits.make(train=300, test=40)


def present(arrays):
  return arrays['classes'] >= 0


def test_keys_and_facts(dataset):
  train = dataset.splits['train']
  shapes = {key: (x.shape, x.dtype) for key, x in train.arrays.items()}
  assert shapes == dict(
    image=((300, 64, 64, 1), np.uint8),
    size=((300, 2), np.int32),
    boxes=((300, 8, 4), np.float32),
    classes=((300, 8), np.int32),
  )
  facts = dataset.facts
  assert facts['num_classes'] == 10 and facts['class_ids'] == list(range(10))
  assert facts['max_objects'] == 8 and facts['shapes'] == [[64, 64]]
  assert (train.arrays['size'] == 64).all()


def test_boxes_hold_the_ink_and_nothing_else_does(dataset):
  """A picture less its background is dark outside of the boxes, and light at their sides."""
  arrays = dataset.splits['train'].arrays
  for image, boxes, classes in zip(arrays['image'], arrays['boxes'], arrays['classes']):
    boxes = boxes[classes >= 0].astype(int)
    assert (boxes[:, 2:] > boxes[:, :2]).all() and boxes.min(initial=0) >= 0
    assert boxes.max(initial=0) <= 64
    outside = np.ones((64, 64), bool)
    for x1, y1, x2, y2 in boxes:
      outside[y1:y2, x1:x2] = False
      inside = image[y1:y2, x1:x2, 0].astype(int)
      assert inside.max() >= 165
    ground = image[outside].astype(int)
    assert ground.max() < 210 and np.median(ground) < 165


def test_empty_crowded_and_overlapping_ones(dataset):
  arrays = dataset.splits['train'].arrays
  count = present(arrays).sum(1)
  assert (count == 0).any() and count.max() > 5 and np.median(count) <= 4
  touching = 0
  for boxes, classes in zip(arrays['boxes'], arrays['classes']):
    boxes = boxes[classes >= 0]
    for i, a in enumerate(boxes):
      for b in boxes[:i]:
        common = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
        smaller = min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2]))
        assert common <= 0.2 * smaller
        touching += common > 0
  assert touching > 10


def test_a_picture_depends_on_its_number_and_the_seed_alone(dataset):
  few = scattered_digits.make(train=7, test=3)
  for split in few.splits:
    for key, array in few.splits[split].arrays.items():
      np.testing.assert_array_equal(array, dataset.splits[split].arrays[key][: len(array)])
  other = scattered_digits.make(train=7, test=3, seed=1)
  assert (other.splits['train'].arrays['image'] != few.splits['train'].arrays['image']).any()
  assert (few.splits['test'].arrays['image'] != few.splits['train'].arrays['image'][:3]).any()
  assert len({digest_of(d.splits[s]) for d in (few, other) for s in d.splits}) == 4


def test_test_pictures_hold_no_training_digits(monkeypatch):
  drawn = {}

  def picture(inks, side, random):
    drawn.setdefault(len(inks), inks)
    return np.zeros((side, side), np.uint8), np.zeros((0, 4), np.int64), np.zeros(0, np.int64)

  monkeypatch.setattr(scattered_digits, '_picture', picture)
  scattered_digits.make(train=2, test=2)
  assert sorted(drawn) == [360, 1437]
  parts, _ = digits.make()
  for split, count in dict(train=1437, test=360).items():
    first = parts[split].arrays['image'][0, ..., 0]
    ink = np.asarray(drawn[count][0])
    assert ink.sum() == first.sum() and ink[0].any() and ink[:, -1].any()


def test_the_truth_is_what_the_arrays_hold(dataset):
  test = dataset.splits['test']
  for number in range(len(test)):
    truth, example = test.truth(number), test[number]
    kept = example['classes'] >= 0
    np.testing.assert_array_equal(truth.boxes, example['boxes'][kept])
    np.testing.assert_array_equal(truth.classes, example['classes'][kept])
    assert truth.image_id == number and (truth.height, truth.width) == (64, 64)


def test_a_slice_keeps_its_truth(dataset):
  part = splits.select(dataset, 'train[10:20]+test')
  assert len(part) == 50 and part.truth(0).name == 'train 10' and part.truth(10).name == 'test 0'
  np.testing.assert_array_equal(part[10]['image'], dataset.splits['test'][0]['image'])
  batch = next(pipeline.train_batches(part, batch_size=50, seed=0))
  np.testing.assert_array_equal(
    np.sort(batch['image'].sum((1, 2, 3))), np.sort(part.arrays['image'].sum((1, 2, 3)))
  )


@pytest.mark.parametrize('wrong', [dict(image_size=16), dict(test=0)])
def test_bad_arguments(wrong):
  with pytest.raises(UserError, match='scattered_digits'):
    scattered_digits.make(**wrong)
