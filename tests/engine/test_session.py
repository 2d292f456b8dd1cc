"""Real processes, really killed: nothing but starting them again brings them to the same end."""

import os
import pathlib
import random
import signal
import time

import pytest
from _helpers import runs

from vitlab.engine import workdir

STEPS = dict(duration='120 steps', checkpoint__every='5 steps', evaluators__test__every='30 steps')


def _finish(folder):
  process = runs.start(folder, **STEPS)
  printed, _ = process.communicate(timeout=300)
  assert process.returncode == 0, printed


def _rows(folder):
  return len(workdir.read_metrics(pathlib.Path(folder)))


def _signal_after(process, folder, number, rows, group=False):
  """Sends a signal once the run has written so many rows, at no particular moment of a step."""
  while _rows(folder) < rows and process.poll() is None:
    time.sleep(0.01)
  time.sleep(random.uniform(0, 0.1))
  if process.poll() is None:
    (os.killpg if group else os.kill)(process.pid, number)
  printed, _ = process.communicate(timeout=300)
  return process.returncode, printed


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'undisturbed'
  _finish(folder)
  return folder


def test_killed_and_restarted(tmp_path, undisturbed):
  for rows in (1, 9, 20):
    process = runs.start(tmp_path / 'run', **STEPS)
    code, printed = _signal_after(process, tmp_path / 'run', signal.SIGKILL, rows)
    assert code == -signal.SIGKILL, printed
  _finish(tmp_path / 'run')
  assert runs.rows(tmp_path / 'run') == runs.rows(undisturbed)
  assert runs.result(tmp_path / 'run') == runs.result(undisturbed)


def test_asked_to_stop_and_restarted(tmp_path, undisturbed):
  for rows, group in ((5, False), (18, True)):
    process = runs.start(tmp_path / 'run', **STEPS)
    code, printed = _signal_after(process, tmp_path / 'run', signal.SIGTERM, rows, group)
    assert code == 75, printed
    assert 'the same command continues' in printed
  _finish(tmp_path / 'run')
  assert runs.rows(tmp_path / 'run') == runs.rows(undisturbed)
  assert runs.result(tmp_path / 'run') == runs.result(undisturbed)
