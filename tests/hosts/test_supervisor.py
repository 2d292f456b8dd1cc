"""A child that dies is started again while there is progress, and not for ever."""

import pathlib
import signal
import subprocess
import sys
import time

import pytest

from vitlab.hosts.supervisor import Supervisor

ROOT = pathlib.Path(__file__).parents[2]
# Lives one life of the plan: 'save=3 die=1' makes checkpoint 3, then ends with 1; -9 is SIGKILL.
CHILD = """
import os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
life, *others = (folder / 'plan').read_text().splitlines()
(folder / 'plan').write_text('\\n'.join(others))
for deed, _, value in (word.partition('=') for word in life.split()):
  if deed == 'save':
    (folder / 'checkpoints' / value).mkdir(parents=True)
  if deed == 'write':
    (folder / value).write_text('')
  if deed == 'die':
    os._exit(int(value)) if int(value) >= 0 else os.kill(os.getpid(), -int(value))
"""
# Saves what it is asked by a signal; `sys.argv[2]` is whether it listens.
LISTENER = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
def save(*_):
  (folder / 'saved').write_text('')
  os._exit(75)
if sys.argv[2] == 'listens':
  signal.signal(signal.SIGTERM, save)
(folder / 'lives').open('a').write('x')
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def handlers():
  before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
  yield
  for number, handler in before.items():
    signal.signal(number, handler)


def tend(folder, plan, restarts):
  """The exit code, and how many lives of the plan were not needed."""
  (folder / 'plan').write_text('\n'.join(plan))
  command = [sys.executable, '-IS', '-c', CHILD, str(folder)]
  code = Supervisor(command, folder, restarts, pause=0.0).run()
  return code, len((folder / 'plan').read_text().splitlines())


@pytest.mark.parametrize('code', [0, 2, 75])
def test_an_end_that_is_one_is_passed_on(tmp_path, code):
  assert tend(tmp_path, [f'die={code}', 'die=0'], 3) == (code, 1)


@pytest.mark.parametrize('death', ['die=1', 'die=-9', 'die=-6', 'die=137'])
def test_what_dies_is_started_again(tmp_path, death):
  assert tend(tmp_path, [death, 'die=0', 'die=1'], 1) == (0, 1)


@pytest.mark.parametrize('restarts, code, left', [(1, 1, 2), (2, 137, 1), (3, 0, 0)])
def test_gives_up_after_so_many_restarts_without_a_checkpoint(tmp_path, restarts, code, left):
  assert tend(tmp_path, ['die=1', 'die=1', 'die=-9', 'die=0'], restarts) == (code, left)


def test_a_newer_checkpoint_counts_anew(tmp_path):
  plan = ['die=1', 'save=5 die=1', 'die=1', 'save=12 die=-9', 'die=1', 'die=1', 'die=0']
  assert tend(tmp_path, plan, 1) == (1, 1)


def test_only_a_newer_one_is_progress(tmp_path):
  (tmp_path / 'checkpoints' / '8').mkdir(parents=True)
  plan = ['save=5 die=1', 'save=9.orbax-checkpoint-tmp die=1', 'die=0']
  assert tend(tmp_path, plan, 1) == (1, 1)


def test_a_run_that_dies_when_it_is_finished_is_finished(tmp_path):
  assert tend(tmp_path, ['save=5 die=1', 'write=result.json die=-6', 'die=1'], 1) == (0, 1)


def start(folder, kind):
  """A supervisor of a listener in a process of its own, when both are up."""
  program = (
    'import pathlib, sys; from vitlab.hosts.supervisor import Supervisor;'
    'sys.exit(Supervisor(sys.argv[2:], pathlib.Path(sys.argv[1]), 5).run())'
  )
  child = [sys.executable, '-IS', '-c', LISTENER, str(folder), kind]
  process = subprocess.Popen([sys.executable, '-c', program, str(folder), *child], cwd=ROOT)
  wait_for(folder / 'lives')
  return process


def wait_for(path):
  end = time.monotonic() + 30
  while not (path.exists() and path.read_text()):
    assert time.monotonic() < end, f'no {path.name}'
    time.sleep(0.02)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize('kind', ['listens', 'does not yet'])
def test_a_signal_is_passed_on_and_ends_both(tmp_path, number, kind):
  process = start(tmp_path, kind)
  process.send_signal(number)
  assert process.wait(30) == 75
  assert (tmp_path / 'lives').read_text() == 'x'
  assert (tmp_path / 'saved').exists() == (kind == 'listens')
