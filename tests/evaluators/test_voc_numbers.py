"""Pascal VOC's average precision: voc_eval.py of py-faster-rcnn, said again in its own words."""

import numpy as np
import pytest
from _helpers.detections import Found, Truth, predictions, random_picture

from vitlab.evaluators import _detected, _voc_numbers, average_precision

BOX, FAR = (0, 0, 10, 10), (500, 500, 10, 10)
A, B, C = (0, 0, 10, 10), (100, 0, 10, 10), (200, 0, 10, 10)


def apart(number, right):
  places = [(20 * i, 0, 10, 10) for i in range(number)]
  return [([Truth(box) for box in places], [Found(box, 0.9) for box in places[:right]])]


# What is measured -> the number of 2007 and that of 2012.
CASES = {
  # Pixels 1 to 10 and 1 to 5 of a file, with both ends: an overlap of 0.5 exactly, and not more.
  'overlaps are strict': ([([Truth(BOX)], [Found((0, 0, 10, 5), 0.9)])], 0, 0),
  'overlaps a little larger count': ([([Truth(BOX)], [Found((0, 0, 10, 5.01), 0.9)])], 1, 1),
  'difficult objects are neither needed nor wrong': (
    [
      (
        [Truth(A), Truth(B, difficult=True), Truth(C)],
        [Found(B, 0.9), Found(B, 0.85), Found(A, 0.8)],
      )
    ],
    6 / 11,
    0.5,
  ),
  'only difficult objects': ([([Truth(A, difficult=True)], [Found(A, 0.9)])], 0, 0),
  'recall 3 of 10 does not reach 0.30000000000000004': (apart(10, 3), 3 / 11, 0.3),
  'recall 7 of 10': (apart(10, 7), 7 / 11, 0.7),
  'recall 10 of 10': (apart(10, 10), 1, 1),
  'nothing found': (apart(10, 0), 0, 0),
  'a second hit is wrong': (
    [([Truth(A), Truth(C)], [Found(A, 0.9), Found(A, 0.8), Found(C, 0.7)])],
    (6 + 5 * 2 / 3) / 11,
    0.5 + 0.5 * 2 / 3,
  ),
  'a hit on the one most overlapped, though it is taken': (
    [([Truth(A), Truth((0, 2, 10, 10))], [Found(A, 0.9), Found((0, 0.5, 10, 10), 0.8)])],
    6 / 11,
    0.5,
  ),
  'classes without objects do not count': (
    [([Truth(A)], [Found(A, 0.9), Found(A, 0.9, label=1)])],
    1,
    1,
  ),
}


@pytest.mark.parametrize('name', CASES)
def test_numbers(name):
  pictures, *expected = CASES[name]
  metrics, _ = average_precision.make(3, voc=True)(predictions(pictures))
  found = [metrics['ap50_voc2007'], metrics['ap50_voc2012']]
  assert found == pytest.approx(expected)


def test_without_being_asked_there_are_none():
  assert not [
    name for name in average_precision.make(1)(predictions(apart(2, 1)))[0] if 'voc' in name
  ]


def test_precision_and_recall_after_each_detection():
  pictures = list(
    _detected.read(predictions(CASES['a second hit is wrong'][0])('detections', 'test'), 1)
  )
  recall, precision = _voc_numbers.curve(pictures, 0)
  np.testing.assert_allclose(recall, [0.5, 0.5, 1])
  np.testing.assert_allclose(precision, [1, 0.5, 2 / 3])


def by_voc_eval(pictures, k):
  """Average precisions from boxes with first and last pixel, both of them inside, from 1."""
  pixels = lambda box: np.array([box[0] + 1, box[1] + 1, box[0] + box[2], box[1] + box[3]])  # noqa: E731
  truths, needed = [], 0
  for objects, _ in pictures:
    ours = [one for one in objects if one.label == k]
    truths.append([(pixels(one.box), one.difficult or one.crowd, [False]) for one in ours])
    needed += sum(not free for _, free, _ in truths[-1])
  rows = [(-one.score, i, one) for i, (_, found) in enumerate(pictures) for one in found]
  rows = sorted((row for row in rows if row[2].label == k), key=lambda row: row[0])
  right, wrong = np.zeros(len(rows)), np.zeros(len(rows))
  for d, (_, i, one) in enumerate(rows):
    box, best, hit = pixels(one.box), -np.inf, None
    for truth in truths[i]:
      low, high = np.maximum(box[:2], truth[0][:2]), np.minimum(box[2:], truth[0][2:])
      shared = np.prod(np.maximum(high - low + 1, 0))
      area = lambda b: (b[2] - b[0] + 1) * (b[3] - b[1] + 1)  # noqa: E731
      overlap = shared / (area(box) + area(truth[0]) - shared)
      if overlap > best:
        best, hit = overlap, truth
    if best > 0.5:
      if not hit[1]:
        right[d], wrong[d] = not hit[2][0], hit[2][0]
        hit[2][0] = True
    else:
      wrong[d] = 1
  right, wrong = np.cumsum(right), np.cumsum(wrong)
  recall = right / needed
  precision = right / np.maximum(right + wrong, np.finfo(np.float64).eps)
  eleven = 0.0
  for t in np.arange(0.0, 1.1, 0.1):
    eleven += (np.max(precision[recall >= t]) if np.sum(recall >= t) else 0) / 11
  recall, precision = np.concatenate([[0], recall, [1]]), np.concatenate([[0], precision, [0]])
  for i in range(len(precision) - 1, 0, -1):
    precision[i - 1] = np.maximum(precision[i - 1], precision[i])
  i = np.where(recall[1:] != recall[:-1])[0]
  return eleven, np.sum((recall[i + 1] - recall[i]) * precision[i + 1])


@pytest.mark.parametrize('seed', range(6))
def test_random_pictures(seed):
  rng = np.random.default_rng(seed)
  pictures = [random_picture(rng) for _ in range(6)]
  pictures = [([one._replace(difficult=rng.random() < 0.2) for one in t], f) for t, f in pictures]
  pictures.append(([Truth(FAR, k) for k in range(3)], []))
  metrics, _ = average_precision.make(3, voc=True)(predictions(pictures))
  expected = np.mean([by_voc_eval(pictures, k) for k in range(3)], axis=0)
  np.testing.assert_allclose(
    [metrics['ap50_voc2007'], metrics['ap50_voc2012']], expected, rtol=1e-12
  )
