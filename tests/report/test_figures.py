"""The numbers behind each figure."""

import base64
import io
import json
import math

import numpy as np
import pytest
from _helpers import workdirs
from PIL import Image

from vitlab.report import figures
from vitlab.report.pictures import Picture
from vitlab.report.run import Run

NAMES = ['cat', 'dog', 'cow']


def run(rows):
  return Run('run', {}, rows, {}, {}, {})


def charts(rows):
  return {chart['metric']: chart['series'] for chart in figures.curves([run(rows)])}


def test_curves_have_a_chart_per_metric_and_a_series_per_evaluator():
  rows = [
    {'step': 1, 'train/loss': 3.0, 'time/seconds': 9.0},
    {'step': 2, 'train/loss': 2.0, 'test/loss': 2.5, 'test/accuracy': 0.5},
  ]
  assert charts(rows) == {
    'accuracy': [dict(run=0, evaluator='test', steps=[2], values=[0.5], lost=0)],
    'loss': [
      dict(run=0, evaluator='test', steps=[2], values=[2.5], lost=0),
      dict(run=0, evaluator='train', steps=[1, 2], values=[3.0, 2.0], lost=0),
    ],
  }


def test_values_that_are_not_finite_are_gaps_and_counted():
  rows = [{'step': i, 'train/loss': x} for i, x in enumerate([1.0, math.nan, None, math.inf, 2.0])]
  (series,) = charts(rows)['loss']
  assert series['values'] == [1.0, None, None, None, 2.0]
  assert series['lost'] == 3
  json.dumps(series, allow_nan=False)


def test_long_curves_keep_their_spikes_and_their_last_value():
  values = np.sin(np.arange(50_000) / 5000)
  values[[12_345, 33_333]] = 100.0, -100.0
  values[40_000:40_500] = math.nan
  (series,) = charts([{'step': i, 'train/loss': x} for i, x in enumerate(values.tolist())])['loss']
  assert len(series['steps']) <= figures.POINTS + 1
  assert series['steps'] == sorted(set(series['steps']))
  drawn = dict(zip(series['steps'], series['values']))
  assert (drawn[12_345], drawn[33_333]) == (100.0, -100.0)
  assert drawn[49_999] == pytest.approx(values[-1], rel=1e-5)
  assert None in series['values'] and series['lost'] == 500


def test_no_rows_no_curves():
  assert figures.curves([run([])]) is None
  assert figures.curves([run([{'step': 3}])]) is None


def test_confusion_ranks_the_pairs_and_counts_the_wrong():
  arrays = {'confusion': np.array([[5, 2, 0], [0, 7, 0], [3, 1, 6]])}
  found = figures.confusion(arrays, NAMES)
  assert found['counts'] == arrays['confusion'].tolist()
  assert (found['total'], found['wrong']) == (24, 6)
  assert found['pairs'] == [
    dict(truth=2, said=0, count=3, of=10),
    dict(truth=0, said=1, count=2, of=7),
    dict(truth=2, said=1, count=1, of=10),
  ]


def test_examples_whose_logits_are_nan_count_as_wrong():
  arrays = {'confusion': np.array([[5, 0], [0, 7]]), 'class_count': np.array([6, 9])}
  found = figures.confusion(arrays, NAMES)
  assert (found['total'], found['wrong'], found['pairs']) == (15, 3, [])


def test_of_many_classes_only_the_most_confused_and_the_weakest_are_kept():
  arrays = workdirs.details(classes=1000, examples=4000)
  found = figures.confusion(arrays, [])
  assert found['counts'] is None
  assert len(found['pairs']) == figures.PAIRS
  assert found['wrong'] == 4000 - np.trace(arrays['confusion'])
  classes = figures.classes(arrays, [])
  assert len(classes) == figures.PAIRS
  assert classes[0]['accuracy'] == arrays['class_accuracy'].min()
  assert classes[0]['name'] == str(arrays['class_accuracy'].argmin())


def test_classes_without_examples_or_predictions_have_no_ratio():
  arrays = {
    'confusion': np.array([[4, 0, 0], [2, 0, 0], [0, 0, 0]]),
    'class_accuracy': np.array([1.0, 0.0, math.nan]),
    'class_count': np.array([4, 2, 0]),
  }
  assert figures.classes(arrays, NAMES[:2]) == [
    dict(name='cat', accuracy=1.0, precision=0.666667, support=4),
    dict(name='dog', accuracy=0.0, precision=None, support=2),
    dict(name='2', accuracy=None, precision=None, support=0),
  ]


def test_classes_do_not_need_the_matrix():
  arrays = {'class_accuracy': np.array([0.5, 1.0]), 'class_count': np.array([4, 2])}
  assert [one['precision'] for one in figures.classes(arrays, NAMES)] == [None, None]


def test_calibration_error_weighs_bins_by_their_examples():
  arrays = {
    'calibration_confidence': np.array([math.nan, 0.6, 0.9]),
    'calibration_accuracy': np.array([math.nan, 0.5, 1.0]),
    'calibration_count': np.array([0, 30, 10]),
  }
  found = figures.calibration(arrays)
  assert found['error'] == pytest.approx(0.1)
  assert found['confidence'] == [None, 0.6, 0.9]
  assert found['count'] == [0, 30, 10]


def test_details_that_are_not_there_give_no_figure():
  for figure in (figures.confusion, figures.classes):
    assert figure({}, NAMES) is None
  assert figures.calibration({}) is None
  assert figures.confusion({'confusion': np.zeros((3, 3), int)}, NAMES) is None


def picture(image, **changes):
  return Picture(index=3, image=image, label=1, predicted=2, confidence=0.75)._replace(**changes)


def decoded(url):
  kind, data = url.removeprefix('data:image/').split(';base64,')
  return kind, np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_a_small_picture_is_kept_exactly():
  image = np.arange(8 * 6, dtype=np.uint8).reshape(8, 6, 1)
  found = figures.picture(picture(image), NAMES)
  kind, pixels = decoded(found['source'])
  np.testing.assert_array_equal(pixels, image[..., 0])
  assert (kind, found['width'], found['height']) == ('png', 6, 8)
  assert (found['truth'], found['said'], found['right']) == ('dog', 'cow', False)
  assert 'maps' not in found


def test_a_photograph_is_made_smaller():
  kind, pixels = decoded(figures.png(np.full((1200, 600, 3), 99, np.uint8)))
  assert (kind, pixels.shape) == ('jpeg', (256, 128, 3))


def test_a_prediction_of_nan_has_no_class():
  image = np.zeros((2, 2, 3), np.uint8)
  found = figures.picture(picture(image, predicted=-1, confidence=math.nan), NAMES)
  assert (found['said'], found['confidence']) == ('NaN', None)


def test_maps_are_the_mean_then_the_heads_of_each_layer_then_the_rollout():
  attention = np.random.default_rng(0).random((2, 3, 4, 5))
  rolled = np.random.default_rng(1).random((4, 5))
  one = picture(np.zeros((8, 10, 1), np.uint8), attention=attention, rollout=rolled)
  found = figures.picture(one, NAMES)
  assert (found['depth'], found['columns'], found['grid']) == (2, 4, [4, 5])
  maps = np.frombuffer(base64.b64decode(found['maps']), np.uint8).reshape(9, 4, 5)
  expected = [m for layer in attention for m in (layer.mean(0), *layer)] + [rolled]
  np.testing.assert_array_equal(maps, [np.round(m / m.max() * 255) for m in expected])


def test_a_large_model_shows_the_mean_of_its_heads():
  attention = np.ones((40, 16, 24, 24), np.float32)
  one = picture(np.zeros((8, 8, 1), np.uint8), attention=attention, rollout=attention[0, 0])
  found = figures.picture(one, NAMES)
  assert found['columns'] == 1
  assert len(base64.b64decode(found['maps'])) == 41 * 24 * 24
