"""Real processes, really killed: nothing but starting them again brings them to the same end."""

import os
import pathlib
import random
import signal
import time

import pytest
from _helpers import runs

from vitlab import workdir
from vitlab.workdir import events

STEPS = dict(duration='60 steps', checkpoint__every='5 steps', evaluators__test__every='15 steps')


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
  for rows in (1, 11):
    process = runs.start(tmp_path / 'run', **STEPS)
    code, printed = _signal_after(process, tmp_path / 'run', signal.SIGKILL, rows)
    assert code == -signal.SIGKILL, printed
  _finish(tmp_path / 'run')
  assert runs.rows(tmp_path / 'run') == runs.rows(undisturbed)
  assert runs.result(tmp_path / 'run') == runs.result(undisturbed)
  _check_events(tmp_path / 'run', sessions=3)


def _check_events(folder, sessions):
  """What happened is there in order, and the goodput is that of the steps that stayed."""
  found = events.read(folder)
  starts = [i for i, event in enumerate(found) if event['event'] == 'start']
  assert len(starts) == sessions and starts[0] == 0 and found[-1]['event'] == 'end'
  good = 0.0
  for start, end in zip(starts, [*starts[1:], len(found)]):
    stayed = found[end]['step'] if end < len(found) else found[-1]['step']
    session = found[start:end]
    assert [event['event'] for event in session].index('compile') in (1, 2)  # after a row it owed
    if end < len(found):
      assert found[end]['lost'] == max(0, max(event['step'] for event in session) - stayed)
    laps = [event for event in session if event['event'] == 'train' and event['step'] <= stayed]
    good += sum(event['seconds'] - event['waited'] for event in laps)
  elapsed = found[-1]['time'] - found[0]['time']
  goodput = workdir.read_json(folder / workdir.RESULT)['goodput']
  assert goodput == pytest.approx(good / elapsed, rel=0.02)
  assert found[-1]['goodput'] == round(goodput, 4)
  assert {'save', 'evaluate', 'train'} <= {event['event'] for event in found}


def test_asked_to_stop_and_restarted(tmp_path, undisturbed):
  for rows, group in ((3, False), (11, True)):
    process = runs.start(tmp_path / 'run', **STEPS)
    code, printed = _signal_after(process, tmp_path / 'run', signal.SIGTERM, rows, group)
    assert code == 75, printed
    assert 'the same command continues' in printed
  _finish(tmp_path / 'run')
  kinds = [event['event'] for event in events.read(tmp_path / 'run')]
  assert (kinds.count('start'), kinds.count('preempted'), kinds.count('end')) == (3, 2, 1)
  assert runs.rows(tmp_path / 'run') == runs.rows(undisturbed)
  assert runs.result(tmp_path / 'run') == runs.result(undisturbed)
