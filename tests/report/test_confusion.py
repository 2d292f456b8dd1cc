"""Confusion, classes and calibration: the numbers behind the figures."""

import math

import numpy as np
import pytest
from _helpers import workdirs

from vitlab.report import confusion

NAMES = ['cat', 'dog', 'cow']


def test_confusion_ranks_the_pairs_and_counts_the_wrong():
  arrays = {'confusion': np.array([[5, 2, 0], [0, 7, 0], [3, 1, 6]])}
  found = confusion.confusion(arrays, NAMES)
  assert found['counts'] == arrays['confusion'].tolist()
  assert (found['total'], found['wrong']) == (24, 6)
  assert found['pairs'] == [
    dict(truth=2, said=0, count=3, of=10),
    dict(truth=0, said=1, count=2, of=7),
    dict(truth=2, said=1, count=1, of=10),
  ]


def test_examples_whose_logits_are_nan_count_as_wrong():
  arrays = {'confusion': np.array([[5, 0], [0, 7]]), 'class_count': np.array([6, 9])}
  found = confusion.confusion(arrays, NAMES)
  assert (found['total'], found['wrong'], found['pairs']) == (15, 3, [])


def test_of_many_classes_only_the_most_confused_and_the_weakest_are_kept():
  arrays = workdirs.details(classes=1000, examples=4000)
  found = confusion.confusion(arrays, [])
  assert found['counts'] is None
  assert len(found['pairs']) == confusion.PAIRS
  assert found['wrong'] == 4000 - np.trace(arrays['confusion'])
  classes = confusion.classes(arrays, [])
  assert len(classes) == confusion.PAIRS
  assert classes[0]['accuracy'] == arrays['class_accuracy'].min()
  assert classes[0]['name'] == str(arrays['class_accuracy'].argmin())


def test_classes_without_examples_or_predictions_have_no_ratio():
  arrays = {
    'confusion': np.array([[4, 0, 0], [2, 0, 0], [0, 0, 0]]),
    'class_accuracy': np.array([1.0, 0.0, math.nan]),
    'class_count': np.array([4, 2, 0]),
  }
  assert confusion.classes(arrays, NAMES[:2]) == [
    dict(name='cat', accuracy=1.0, precision=0.666667, support=4),
    dict(name='dog', accuracy=0.0, precision=None, support=2),
    dict(name='2', accuracy=None, precision=None, support=0),
  ]


def test_classes_do_not_need_the_matrix():
  arrays = {'class_accuracy': np.array([0.5, 1.0]), 'class_count': np.array([4, 2])}
  assert [one['precision'] for one in confusion.classes(arrays, NAMES)] == [None, None]


def test_calibration_error_weighs_bins_by_their_examples():
  arrays = {
    'calibration_confidence': np.array([math.nan, 0.6, 0.9]),
    'calibration_accuracy': np.array([math.nan, 0.5, 1.0]),
    'calibration_count': np.array([0, 30, 10]),
  }
  found = confusion.calibration(arrays)
  assert found['error'] == pytest.approx(0.1)
  assert found['confidence'] == [None, 0.6, 0.9]
  assert found['count'] == [0, 30, 10]


def test_details_that_are_not_there_give_no_figure():
  for figure in (confusion.confusion, confusion.classes):
    assert figure({}, NAMES) is None
  assert confusion.calibration({}) is None
  assert confusion.confusion({'confusion': np.zeros((3, 3), int)}, NAMES) is None
