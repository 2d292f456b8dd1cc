"""What a file says is swept: read, checked, stored once and compared."""

import json
import pathlib

import numpy as np
import pytest
from _helpers import sweeps

from vitlab.cli import config_file
from vitlab.errors import UserError
from vitlab.sweep import definition

GRID = "for point in product({'optim.learning_rate': [1e-3, 2e-3]}, seeds(2)): add(point)"
SEARCH = "return search({'optim.learning_rate': log_uniform(1e-4, 1e-2)}, trials=3)"


def read(tmp_path, body, *overrides):
  return sweeps.define(sweeps.write(tmp_path, body), overrides)


def test_points_and_what_counts(tmp_path):
  found = read(tmp_path, GRID, '--config.batch_size=32')
  assert found.keys == ['optim.learning_rate', 'seed']
  assert [tuple(point.values()) for point in found.points] == [
    (1e-3, 0), (1e-3, 1), (2e-3, 0), (2e-3, 1)
  ]  # fmt: skip
  assert (found.metric, found.goal, found.trials) == ('test/accuracy', 'max', 4)
  assert found.base['batch_size'] == 32
  assert found.better(0.9, 0.8) and found.better(0.1, None) and not found.better(0.8, 0.8)


def test_a_point_added_twice_is_one_trial(tmp_path):
  assert read(tmp_path, "add({'seed': 1})\nadd({'seed': 2})\nadd({'seed': 1.0 and 1})").points == [
    {'seed': 1},
    {'seed': 2},
  ]


def test_values_are_those_that_the_config_will_hold(tmp_path):
  body = (
    'import numpy as np\n'
    "add({'optim.learning_rate': np.float64(1), 'seed': np.int64(3), 'sharding_rules': ['a']})"
  )
  (point,) = read(tmp_path, body).points
  assert point == {'optim.learning_rate': 1.0, 'seed': 3, 'sharding_rules': ('a',)}
  assert [type(value) for value in point.values()] == [float, int, tuple]
  assert definition.flags(point)[0] == '--config.optim.learning_rate=1.0'


def test_the_metric_without_a_best_checkpoint(tmp_path):
  assert read(tmp_path, GRID, '--config.checkpoint.best=').metric == 'test/accuracy'
  body = SEARCH.replace('trials=3', "trials=3, metric='train/loss'")
  assert read(tmp_path, body)[3:5] == ('train/loss', 'min')
  body = SEARCH.replace('trials=3', "trials=3, metric='test/loss', goal='max'")
  assert read(tmp_path, body)[3:5] == ('test/loss', 'max')


def test_the_shipped_sweep_is_that_of_its_docstring():
  spec = str(sweeps.ROOT / 'configs/vit_digits.py')
  found = definition.read(config_file.load(spec), spec)
  assert found.trials == 12 and found.keys == ['optim.learning_rate', 'seed']


@pytest.mark.parametrize(
  'body, says',
  [
    ('pass', 'adds no point'),
    ("add({'optim.lerning_rate': 1})", 'did you mean learning_rate'),
    ("add({'batch_size': 1.5})", 'expected a value of type int'),
    ("add({'batch_size': '64'})", "'64': expected a value of type int"),
    ("add({'optim.name': 5})", 'expected a value of type str'),
    ("add({'optim.learning_rate': float('nan')})", 'finite number'),
    ("add({'optim': {'name': 'lion'}})", "'optim' is a group"),
    ('add(3)', 'a point is a dict'),
    ('return 3', 'returns int'),
    (f"add({{'seed': 1}})\n{SEARCH}", 'only one of them'),
    (SEARCH.replace('learning_rate', 'rate'), 'unknown'),
    (SEARCH.replace('log_uniform(1e-4, 1e-2)', "choice(1, 'x')"), 'expected a value of type float'),
    (SEARCH.replace('optim.learning_rate', 'batch_size'), 'expected a value of type int'),
    (SEARCH.replace('trials=3', "trials=3, metric='tset/accuracy'"), 'test/'),
    ('add(1 / 0)', 'line 4: ZeroDivisionError'),
  ],
)
def test_what_does_not_fit_is_refused(tmp_path, body, says):
  with pytest.raises(UserError) as caught:
    read(tmp_path, body)
  assert says in str(caught.value)
  assert len(str(caught.value).splitlines()) <= 3


def test_the_file_holds_what_a_page_needs(tmp_path):
  definition.keep(read(tmp_path, SEARCH), tmp_path)
  stored = json.loads((tmp_path / 'sweep.json').read_text())
  space = stored['definition']['search']['spaces']['optim.learning_rate']
  assert space == dict(kind='log_uniform', low=1e-4, high=1e-2)
  assert stored['config'] == sweeps.CONFIG
  assert (stored['metric'], stored['goal']) == ('test/accuracy', 'max')
  assert stored['keys'] == ['optim.learning_rate']


@pytest.mark.parametrize(
  'body, overrides, named',
  [
    (GRID.replace('2e-3', '3e-3'), (), 'definition.points.2.optim.learning_rate 0.002 -> 0.003'),
    (GRID.replace('seeds(2)', 'seeds(1)'), (), 'definition.points.'),
    (SEARCH, (), 'definition.points.'),
    (GRID, ('--config.batch_size=32',), 'base.batch_size 64 -> 32'),
    (GRID, ('--config.checkpoint.best=test/loss',), 'metric "test/accuracy" -> "test/loss"'),
  ],
)
def test_another_sweep_in_the_folder_is_refused(tmp_path, body, overrides, named):
  folder = tmp_path / 'sweep'
  folder.mkdir()
  definition.keep(read(tmp_path, GRID), folder)
  before = (folder / 'sweep.json').read_bytes()
  definition.keep(read(tmp_path, GRID), folder)
  with pytest.raises(UserError) as caught:
    definition.keep(read(tmp_path, body, *overrides), folder)
  assert named in str(caught.value)
  assert len(str(caught.value).splitlines()) == 3
  assert (folder / 'sweep.json').read_bytes() == before


def test_keys_that_move_no_parameter_may_change(tmp_path):
  definition.keep(read(tmp_path, GRID), tmp_path)
  definition.keep(read(tmp_path, GRID, '--config.log_every=10 steps'), tmp_path)


def test_the_workdir_of_a_run_is_no_folder_of_a_sweep(tmp_path):
  (tmp_path / 'config.json').write_text('{}')
  with pytest.raises(UserError, match='holds a run'):
    definition.keep(read(tmp_path, GRID), pathlib.Path(tmp_path))


def test_every_drawn_value_fits_the_config(tmp_path):
  low, high = sorted(np.random.default_rng(0).integers(1, 500, 2).tolist())
  body = SEARCH.replace('trials=3', 'trials=30').replace(
    "{'optim", f"{{'batch_size': integer({low}, {high}), 'optim"
  )
  found = read(tmp_path, body)
  config = config_file.load(sweeps.CONFIG)
  for point in found.points:
    config_file.override(config, definition.flags(point))
    assert low <= config.batch_size == point['batch_size'] <= high
    assert config.optim.learning_rate == point['optim.learning_rate']
