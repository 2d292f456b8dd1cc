"""A sweep's folder in whatever state is read; the axes and the means over seeds follow from it."""

import json

import pytest
from _helpers import sweep_folders

from vitlab.errors import UserError
from vitlab.report import trials as trials_lib


def read(folder, rows, **head):
  return trials_lib.read(sweep_folders.write(folder, rows, curves=False, **head))


def of_values(folder, values, key='model.width', **head):
  points = [{key: value} for value in values]
  rows = [sweep_folders.trial(i, point) for i, point in enumerate(points)]
  return read(folder, rows, keys=[key], **head)


def test_the_best_trial_comes_first_and_those_without_a_value_last(tmp_path):
  rows = [sweep_folders.trial(i) for i in range(3)] + [sweep_folders.without_value(3, 'failed')]
  assert [t.number for t in read(tmp_path / 'max', rows).trials] == [2, 1, 0, 3]
  sweep = read(tmp_path / 'min', rows, goal='min', metric='test/loss')
  assert [t.number for t in sweep.trials] == [0, 1, 2, 3]
  assert sweep.best.number == 0


def test_the_best_has_finished_where_any_has(tmp_path):
  rows = [sweep_folders.trial(0), sweep_folders.trial(1, state='pruned')]
  assert read(tmp_path / 'a', rows).best.number == 0
  assert read(tmp_path / 'b', rows[1:]).best.number == 1
  assert read(tmp_path / 'c', [sweep_folders.without_value(0, 'running')]).best is None


@pytest.mark.parametrize('value', [None, 'high', True, float('nan'), float('inf')])
def test_a_value_is_a_finite_number_or_none(tmp_path, value):
  assert read(tmp_path / 'sweep', [sweep_folders.trial(0, value=value)]).trials[0].value is None


def test_broken_lines_are_left_out_and_the_last_line_of_a_trial_counts(tmp_path):
  folder = sweep_folders.write(
    tmp_path / 'sweep', [sweep_folders.without_value(0, 'running')], curves=False
  )
  with open(folder / 'results.jsonl', 'a') as file:
    file.write('\n[1]\n3\n{"state": "failed"}\n{"trial": "x"}\n{"trial": 1, "point": 7}\n')
    file.write(json.dumps(sweep_folders.trial(0)) + '\n{"trial": 2, "sta')
  first, second = trials_lib.read(folder).trials
  assert (first.number, first.state, first.value) == (0, 'finished', 0.8)
  assert (second.number, second.state, second.point, second.command) == (1, '', {}, '')


def test_keys_are_those_in_which_trials_differ(tmp_path):
  rows = [
    sweep_folders.trial(i, sweep_folders.POINTS[i] | {'optim.b2': 0.9 + i / 100}) for i in range(2)
  ]
  assert read(tmp_path / 'two', rows).keys == ['seed', 'optim.b2']
  assert read(tmp_path / 'one', rows[:1]).keys == [*sweep_folders.HEAD['keys'], 'optim.b2']


def test_names_are_as_long_as_it_takes_to_tell_keys_apart(tmp_path):
  keys = ['seed', 'data.seed', 'encoder.norm.scale', 'decoder.norm.scale', 'optim.learning_rate']
  keys += ['model.name']
  rows = [sweep_folders.trial(i, dict.fromkeys(keys, i)) for i in range(2)]
  sweep = read(tmp_path / 'sweep', rows, keys=keys)
  assert [axis.name for axis in trials_lib.axes(sweep)] == [
    'seed',
    'data.seed',
    'encoder.norm.scale',
    'decoder.norm.scale',
    'learning_rate',
    'model.name',
  ]


@pytest.mark.parametrize(
  ('values', 'log'),
  [([1, 31], False), ([1, 32], True), ([0, 100], False), ([-1, 100], False), ([1, None], False)],
)
def test_an_axis_is_logarithmic_from_a_decade_and_a_half_on(tmp_path, values, log):
  (axis,) = trials_lib.axes(of_values(tmp_path / 'sweep', values))
  assert (axis.log, axis.categories) == (log, None)
  assert [axis.at(value) for value in values] == values


def test_an_axis_is_logarithmic_where_its_space_is(tmp_path):
  space = {'kind': 'log_uniform', 'low': 1.0, 'high': 9.0}
  definition = {'search': {'space': [{'model.width': space}]}}
  (axis,) = trials_lib.axes(of_values(tmp_path / 'sweep', [2, 3], definition=definition))
  assert axis.log
  (axis,) = trials_lib.axes(of_values(tmp_path / 'zero', [0, 3], definition=definition))
  assert not axis.log


def test_what_is_no_number_becomes_categories(tmp_path):
  values = ['lion', 'adamw', None, True, [1, 2], 3, 'lion']
  (axis,) = trials_lib.axes(of_values(tmp_path / 'sweep', values))
  assert axis.categories == ['lion', 'adamw', 'None', 'true', '(1, 2)', '3']
  assert [axis.at(value) for value in values] == [0, 1, 2, 3, 4, 5, 0]


def test_groups_hold_the_finished_trials_of_a_point_over_its_seeds(tmp_path):
  rows = [sweep_folders.trial(i) for i in range(8)]
  rows[1]['state'], rows[2]['value'] = 'pruned', None
  groups = trials_lib.groups(read(tmp_path / 'sweep', rows))
  found = [(*group.point.values(), sorted(group.values)) for group in groups]
  assert found == [
    (1e-3, 96, [0.86, 0.87]),
    (1e-3, 48, [0.84, 0.85]),
    (1e-4, 96, [0.83]),
    (1e-4, 48, [0.8]),
  ]


def test_without_seeds_there_are_no_groups(tmp_path):
  assert not trials_lib.groups(of_values(tmp_path / 'sweep', [1, 2]))


@pytest.mark.parametrize('content', [None, '', '[1]', '{"config"'])
def test_a_sweep_must_be_there(tmp_path, content):
  if content is not None:
    (tmp_path / 'sweep.json').write_text(content)
  with pytest.raises(UserError, match='no sweep in'):
    trials_lib.read(tmp_path)
