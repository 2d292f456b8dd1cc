"""From the best score on: what is taken for what, and the pictures with most errors."""

import numpy as np
import pytest
from _helpers.detections import Found, Truth, predictions, random_picture

from vitlab.evaluators import _confused, average_precision

A, B, C = (0, 0, 10, 10), (100, 0, 10, 10), (200, 0, 10, 10)
SURE = 0.75


def details(pictures):
  return average_precision.make(2)(predictions(pictures))


def test_the_score_is_that_of_the_best_f1():
  found = [Found(A, 0.9), Found(B, 0.8), Found(C, 0.8), Found((300, 0, 9, 9), 0.7)]
  metrics, seen = details([([Truth(A), Truth(B, 1)], [*found, Found(B, 0.6, 1)])])
  # 1 of 1; then 1 of 3, for the two of equal scores are not parted; 2 of 5 at last.
  assert seen['score'] == pytest.approx(0.9)
  assert metrics['f1'] == pytest.approx(2 / 3)
  assert (metrics['precision'], metrics['recall']) == (1, 0.5)


def test_equal_scores_are_not_parted():
  metrics, _ = details([([Truth(A)], [Found(A, 0.8), Found(B, 0.8)])])
  assert metrics['f1'] == pytest.approx(2 / 3) and metrics['precision'] == 0.5


def test_what_is_found_on_a_crowd_is_neither_right_nor_wrong():
  objects = [Truth(A), Truth((100, 0, 100, 100), crowd=True)]
  metrics, _ = details([(objects, [Found(B, 0.95), Found(A, 0.9)])])
  assert [metrics[name] for name in ('f1', 'precision', 'recall')] == [1, 1, 1]


def test_confusion():
  pictures = [
    ([Truth(A), Truth(B, 1)], [Found(A, 0.9), Found(B, 0.9, 0), Found(C, 0.9, 1)]),
    ([Truth(A), Truth(B, 1), Truth(C, 1)], [Found(A, 0.9), Found(B, 0.9, 1), Found(B, 0.9, 1)]),
  ]
  _, seen = details(pictures)
  assert seen['confusion'].tolist() == [[2, 0, 0], [1, 1, 1], [0, 2, 0]]
  columns = {
    key: seen[f'picture_{key}'].tolist() for key in ('right', 'confused', 'missed', 'false')
  }
  assert columns == dict(right=[1, 2], confused=[1, 0], missed=[0, 1], false=[1, 1])


def test_pairs_of_one_class_come_before_those_that_overlap_more():
  # The detection of class 1 lies exactly on the object of class 0, and well on that of class 1.
  _, seen = details([([Truth(A), Truth((0, 0, 10, 8), 1)], [Found(A, 0.9, 1), Found(A, 0.9, 0)])])
  assert seen['confusion'].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_what_lies_on_crowds_and_difficult_objects_does_not_count():
  objects = [Truth(A), Truth((100, 100, 100, 100), crowd=True), Truth(C, 1, difficult=True)]
  found = [
    Found(A, 0.9),
    Found((110, 110, 5, 5), 0.9),
    Found((150, 110, 5, 5), 0.9, 1),
    Found(C, 0.9),
  ]
  _, seen = details([(objects, found), ([Truth(A)], [])])
  assert seen['confusion'].sum() == 2 and seen['confusion'][0].tolist() == [1, 0, 1]
  judged = _confused.judge(picture(objects, found), SURE)
  assert judged.outcome.tolist() == [0, 3, 3, 3] and judged.truth_outcome.tolist() == [0, 3, 3]
  assert judged.errors() == 0


def picture(objects, found):
  from vitlab.evaluators import _detected

  return next(_detected.read(predictions([(objects, found)])('detections', 'test'), 2))


def test_worst_pictures_come_first_with_their_boxes():
  low = Found(C, 0.01)
  pictures = [
    ([Truth(A)], [Found(A, 0.9)]),
    ([Truth(A)], [low, Found(A, 0.9), Found(B, 0.9)]),
    ([Truth(A), Truth(B)], [Found(C, 0.9, 1), low]),
    ([Truth(A)], [Found(A, 0.9)]),
  ]
  _, seen = details(pictures)
  assert seen['worst_index'].tolist() == [2, 1]
  assert seen['worst_size'].tolist() == [[640, 640]] * 2
  assert seen['found_picture'].tolist() == [0, 0, 1, 1, 1]
  assert seen['found_outcome'].tolist() == [2, -1, 0, 2, -1]
  assert seen['found_classes'].tolist() == [1, 0, 0, 0, 0]
  assert seen['found_boxes'][2].tolist() == [0, 0, 10, 10]
  assert seen['truth_picture'].tolist() == [0, 0, 1]
  assert seen['truth_outcome'].tolist() == [2, 2, 0]
  assert not seen['truth_crowd'].any()
  _, seen = details([([Truth(A), Truth(B, crowd=True)], [])])
  assert seen['truth_crowd'].tolist() == [False, True]


def test_numbers_add_up_and_details_stay_small():
  rng = np.random.default_rng(0)
  pictures = [random_picture(rng, 2) for _ in range(40)]
  _, seen = details(pictures)
  there = sum(not one.crowd for objects, _ in pictures for one in objects)
  assert seen['confusion'][:2].sum() == there
  assert seen['confusion'][:2, 2].sum() == seen['picture_missed'].sum()
  assert seen['confusion'][2].sum() == seen['picture_false'].sum()
  assert np.trace(seen['confusion']) == seen['picture_right'].sum()
  errors = sum(seen[f'picture_{key}'] for key in ('confused', 'missed', 'false'))
  worst = errors[seen['worst_index']]
  assert len(worst) == min(32, (errors > 0).sum()) and worst.min() >= np.sort(errors)[-32]
  assert (np.diff(worst) <= 0).all() and (np.bincount(seen['found_picture']) <= 64).all()
