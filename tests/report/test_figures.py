"""The numbers behind each figure."""

import json
import math

import numpy as np
import pytest

from vitlab.report import figures
from vitlab.report.run import Run


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
