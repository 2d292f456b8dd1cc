"""Sweeps of stubs that finish, fail, are preempted, and whose controller is killed."""

import os
import random
import signal
import time
from collections import Counter

import pytest
from _helpers import sweeps

from vitlab.errors import UserError
from vitlab.sweep import controller

GRID = "for point in product({'optim.learning_rate': [5e-4, 1e-3, 4e-3]}, seeds(2)): add(point)"


@pytest.fixture
def file(tmp_path):
  return sweeps.write(tmp_path, GRID)


def lasting(folder):
  """The rows of results.jsonl, without where they lie."""
  return [
    {key: x for key, x in row.items() if key not in ('workdir', 'command')}
    for row in sweeps.rows(folder)
  ]


def test_every_trial_runs_once_and_the_best_is_named(file, tmp_path, capsys):
  folder = tmp_path / 'sweep'
  assert sweeps.run(file, folder, slots=2) == 0
  assert Counter(sweeps.starts(folder)) == {f'trial_{n:03}': 1 for n in range(6)}
  rows = sweeps.rows(folder)
  assert [row['trial'] for row in rows] == list(range(6))
  assert {row['state'] for row in rows} == {'finished'}
  assert [row['value'] for row in rows] == [row['metrics']['test/accuracy'] for row in rows]
  best = max(rows, key=lambda row: row['value'])
  last = capsys.readouterr().out.splitlines()[-1]
  assert last.startswith('done: best test/accuracy') and best['command'] in last

  assert sweeps.run(file, folder, slots=2) == 0  # again: nothing is left to do
  assert len(sweeps.starts(folder)) == 6
  assert sweeps.rows(folder) == rows


@pytest.mark.parametrize(
  'codes, retries, state, attempts, error',
  [
    ([1], 1, 'finished', 2, None),
    ([1, 1], 1, 'failed', 2, 'and this is why'),
    ([1, -9, 0], 2, 'finished', 3, None),
    ([1], 0, 'failed', 1, 'and this is why'),
    ([2], 3, 'failed', 1, 'error: start 1 ends with 2'),
    ([75, 75, 0], 0, 'finished', 1, None),
    ([75, -9], 0, 'failed', 1, 'ended by SIGKILL'),
  ],
)
def test_trials_that_end_otherwise(codes, retries, state, attempts, error, tmp_path, capsys):
  file, folder = sweeps.write(tmp_path, 'for p in seeds(2): add(p)'), tmp_path / 'sweep'
  code = sweeps.run(file, folder, dict(codes={'1': codes}), retries=retries)
  assert code == (1 if state == 'failed' else 0)
  first, second = sweeps.rows(folder)
  assert (first['state'], first['attempts']) == ('finished', 1)
  assert (second['state'], second['attempts']) == (state, attempts)
  assert error in second['error'] if error else second['error'] is None
  assert (second['value'] is None) == (state == 'failed')
  assert ('trial 1 failed: ' in capsys.readouterr().err) == (state == 'failed')


def test_failed_trials_stay_failed_until_more_retries_are_given(tmp_path):
  file, folder = sweeps.write(tmp_path, 'for p in seeds(2): add(p)'), tmp_path / 'sweep'
  stub = dict(codes={'1': [1, 1]})
  assert sweeps.run(file, folder, stub) == 1
  assert sweeps.run(file, folder, stub) == 1
  assert len(sweeps.starts(folder)) == 3
  assert sweeps.run(file, folder, stub, retries=2) == 0
  assert [row['attempts'] for row in sweeps.rows(folder)] == [1, 3]


def test_a_controller_killed_at_random_changes_nothing(file, tmp_path):
  stub = dict(steps=8, seconds=0.02)
  assert sweeps.run(file, tmp_path / 'undisturbed', stub, slots=2) == 0
  folder, chance = tmp_path / 'killed', random.Random(time.time_ns())
  for _ in range(4):
    process = sweeps.start(file, folder, stub, slots=2)
    while process.poll() is None and not (folder / 'results.jsonl').exists():
      time.sleep(0.02)
    time.sleep(chance.uniform(0, 0.6))
    process.kill()
    process.communicate(timeout=60)
  process = sweeps.start(file, folder, stub, slots=2)
  said, _ = process.communicate(timeout=60)
  assert process.returncode == 0, said
  assert lasting(folder) == lasting(tmp_path / 'undisturbed')
  # Every start but the last one of a trial was cut short: none found a result.
  assert not (folder.with_suffix('.again')).exists()
  assert set(sweeps.starts(folder)) == {f'trial_{n:03}' for n in range(6)}


def test_a_finished_trial_is_not_started_again_by_any_controller(file, tmp_path):
  folder = tmp_path / 'sweep'
  process = sweeps.start(file, folder, dict(seconds=0.02))
  while not (folder / 'trial_001' / 'result.json').exists():
    time.sleep(0.02)
  process.kill()
  process.wait()
  (folder / 'results.jsonl').unlink()  # even if it were lost
  before = sweeps.starts(folder)
  assert sweeps.run(file, folder) == 0
  after = Counter(sweeps.starts(folder)) - Counter(before)
  assert after['trial_000'] == after['trial_001'] == 0
  assert {row['state'] for row in sweeps.rows(folder)} == {'finished'}


def test_trials_end_with_their_controller(file, tmp_path):
  folder = tmp_path / 'sweep'
  process = sweeps.start(file, folder, dict(steps=1000, seconds=0.02), slots=2)
  paths = [folder / f'trial_{n:03}' for n in range(2)]
  while not all((path / 'metrics.jsonl').exists() for path in paths):
    time.sleep(0.02)
  process.kill()
  process.wait()
  deadline = time.monotonic() + 30
  while any(controller.workdir.is_held(path) for path in paths):
    assert time.monotonic() < deadline
    time.sleep(0.02)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_sweep_that_is_asked_to_stop_saves_and_says_so(number, file, tmp_path):
  folder = tmp_path / 'sweep'
  process = sweeps.start(file, folder, dict(steps=20, seconds=0.05), slots=2)
  while not (folder / 'trial_001' / 'metrics.jsonl').exists():
    time.sleep(0.02)
  os.kill(process.pid, number)
  said, _ = process.communicate(timeout=60)
  assert process.returncode == 75, said
  assert 'stopped, the same command continues' in said
  assert {row['state'] for row in sweeps.rows(folder)} == {'waiting'}
  assert sweeps.run(file, folder, slots=2) == 0
  assert Counter(sweeps.starts(folder))['trial_000'] == 2
  assert {row['steps'] for row in sweeps.rows(folder)[:2]} != {0}


def test_two_controllers_do_not_share_a_folder(file, tmp_path):
  folder = tmp_path / 'sweep'
  with controller.workdir.hold(str(folder)), pytest.raises(UserError, match='in use by process'):
    sweeps.run(file, folder)


def test_another_sweep_is_refused_and_starts_nothing(file, tmp_path):
  folder = tmp_path / 'sweep'
  assert sweeps.run(file, folder) == 0
  before = sweeps.starts(folder)
  other = sweeps.write(tmp_path, "add({'seed': 5})")
  with pytest.raises(UserError, match='another sweep'):
    sweeps.run(other, folder)
  assert sweeps.starts(folder) == before


def test_the_controller_never_imports_jax(file, tmp_path):
  probe = 'import sys, vitlab.sweep.controller; sys.exit("jax" in sys.modules)'
  done = sweeps.subprocess.run([sweeps.sys.executable, '-c', probe], cwd=sweeps.ROOT)
  assert done.returncode == 0
