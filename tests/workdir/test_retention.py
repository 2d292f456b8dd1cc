"""Which checkpoints stay."""

import math
import types

import pytest

from vitlab.errors import UserError
from vitlab.workdir.retention import Retention


def _kept(retention, steps):
  checkpoints = [types.SimpleNamespace(step=step) for step in steps]
  kept = retention.should_preserve(checkpoints, context=None)
  return [step for step, keep in zip(steps, kept) if keep]


def test_keeps_the_newest():
  assert _kept(Retention(2, 0, '', 'max'), [1, 2, 3, 4]) == [3, 4]
  assert _kept(Retention(2, 0, '', 'max'), [4, 1]) == [4, 1]
  assert _kept(Retention(1, 0, '', 'max'), [4, 1, 3]) == [4]


def test_keeps_the_spaced_ones():
  assert _kept(Retention(1, 10, '', 'max'), [5, 10, 15, 20, 25]) == [10, 20, 25]


@pytest.mark.parametrize('mode, best', [('max', 3), ('min', 2)])
def test_keeps_the_best_which_is_never_nan(mode, best):
  retention = Retention(1, 0, 'accuracy', mode)
  for step, value in enumerate([math.nan, 0.5, 0.1, 0.9, math.nan, 0.2]):
    retention.add(step, {'accuracy': value, 'other': 100.0 * step})
  retention.add(6, {'other': 1.0})
  assert retention.best_of(range(7)) == best
  assert _kept(retention, list(range(7))) == [best, 6]


def test_the_latest_of_equals_is_the_best():
  retention = Retention(1, 0, 'x', 'max')
  for step in (3, 1, 2):
    retention.add(step, {'x': 1.0})
  assert retention.best_of([3, 1, 2]) == 3
  assert _kept(retention, [1, 2, 3]) == [3]


def test_without_a_finite_value_there_is_no_best():
  retention = Retention(1, 0, 'x', 'max')
  retention.add(1, {'x': math.nan})
  assert retention.best_of([1, 2]) is None


@pytest.mark.parametrize('arguments', [(0, 0, '', 'max'), (1, 0, '', 'most')])
def test_impossible_arguments_are_refused(arguments):
  with pytest.raises(UserError):
    Retention(*arguments)
