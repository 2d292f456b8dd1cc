"""Programs that use the pipeline end in silence, survive a polite signal and leave no process."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

SCRIPT = """
import multiprocessing, signal, sys, time
from _helpers.pictures import Noise
from vitlab.data import pipeline

def main():
  asked_to_stop = []
  signal.signal(signal.SIGTERM, lambda *_: asked_to_stop.append(True))
  batches = pipeline.train_batches(Noise(), batch_size=8, seed=0, workers=int(sys.argv[2]))
  if sys.argv[1] == 'early':
    print(flush=True)
  next(batches)
  print(*[child.pid for child in multiprocessing.active_children()], flush=True)
  ending = sys.argv[1]
  if ending in ('early', 'term', 'kill'):
    while not asked_to_stop:
      time.sleep(0.01)
    for _ in range(10):
      next(batches)
  if ending != 'forget':
    batches.close()
    print('children', len(multiprocessing.active_children()))

if __name__ == '__main__':
  main()
"""


@pytest.fixture
def script(tmp_path):
  """Starts a program that trains on two workers; its ending is its argument."""
  path = tmp_path / 'script.py'
  path.write_text(SCRIPT)
  root = pathlib.Path(__file__).parents[2]
  environment = {**os.environ, 'PYTHONPATH': f'{root}:{root / "tests"}'}

  def start(ending, workers=2):
    return subprocess.Popen(
      [sys.executable, str(path), ending, str(workers)],
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      env=environment,
      start_new_session=True,
    )

  return start


def wait_until_gone(pids):
  deadline = time.monotonic() + 20
  while time.monotonic() < deadline:
    if not any(pathlib.Path(f'/proc/{pid}').exists() for pid in pids):
      return
    time.sleep(0.05)
  raise AssertionError(f'still alive: {pids}')


@pytest.mark.parametrize(('ending', 'workers'), [('close', 2), ('forget', 2), ('forget', 0)])
def test_ends_in_silence(script, ending, workers):
  process = script(ending, workers)
  out, err = process.communicate(timeout=180)
  assert (process.returncode, err) == (0, '')
  assert ending == 'forget' or out.endswith('children 0\n')


@pytest.mark.parametrize(('ending', 'delay'), [('term', 0), ('early', 0.2), ('early', 0.7)])
def test_workers_go_on_when_the_process_group_is_asked_to_stop(script, ending, delay):
  process = script(ending)
  process.stdout.readline()
  time.sleep(delay)  # early: while the workers are starting
  os.killpg(process.pid, signal.SIGTERM)
  out, err = process.communicate(timeout=180)
  assert (process.returncode, err) == (0, '')
  assert out.endswith('children 0\n')


def test_workers_die_with_a_killed_run(script):
  process = script('kill')
  workers = [int(pid) for pid in process.stdout.readline().split()]
  assert len(workers) == 2
  process.kill()
  process.communicate(timeout=180)
  wait_until_gone(workers)
