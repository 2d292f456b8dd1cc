"""A few kills of real processes; the full counts are in experiments/reliability/."""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from vitlab.workdir import events

_ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
  'command, expected',
  [
    ('kill_during_saves.py --kills=2 --megabytes=1', 'all exact; no saved step lost'),
    (
      'kill_training.py --kills=1 --config=configs/seq2seq_reverse.py:smoke',
      'each like the undisturbed one bit for bit',
    ),
  ],
)
def test_a_killed_process_loses_nothing(command, expected):
  name, *arguments = command.split()
  done = subprocess.run(
    [sys.executable, f'experiments/reliability/{name}', *arguments],
    cwd=_ROOT,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stdout + done.stderr
  assert expected in done.stdout


def _wait_for(folder, kind, count, processes):
  """The newest event of a kind, once there are so many of them."""
  while len(found := [event for event in events.read(folder) if event['event'] == kind]) < count:
    assert {process.poll() for process in processes} == {None}
    time.sleep(0.02)
  return found[-1]


def test_two_processes_of_which_one_is_killed_then_one_is_asked_to_stop(tmp_path):
  port = random.randrange(20_000, 32_000)  # below those that the kernel gives to connections
  flags = ['duration=100000 steps', 'checkpoint.every=5 steps', 'model.width=8', 'model.depth=1']
  command = [sys.executable, 'launch.py', '--config=configs/vit_digits.py:smoke']
  command += [f'--workdir={tmp_path / "run"}', '--restarts=2', '--heartbeat=10']
  command += [f'--config.{flag}' for flag in flags]
  environ = os.environ | {'JAX_PLATFORMS': 'cpu', 'JAX_NUM_CPU_DEVICES': '1'}
  gang = [
    subprocess.Popen([*command, f'--cluster=127.0.0.1:{port},2,{i}'], cwd=_ROOT, env=environ)
    for i in range(2)
  ]
  try:
    _wait_for(tmp_path / 'run', 'save', 2, gang)
    one = gang[random.randrange(2)].pid
    child = pathlib.Path(f'/proc/{one}/task/{one}/children').read_text()
    os.kill(int(child), signal.SIGKILL)
    _wait_for(tmp_path / 'run', 'compile', 2, gang)
    gang[random.randrange(2)].terminate()
    assert [process.wait(60) for process in gang] == [75, 75]
  finally:
    for process in gang:
      process.terminate()
  found = events.read(tmp_path / 'run')
  assert [event['event'] for event in found].count('start') == 2
  first, again = (event['step'] for event in found if event['event'] == 'start')
  (stopped,) = (event['step'] for event in found if event['event'] == 'preempted')
  assert first == 0 < again < stopped and again % 5 == 0
  assert max(int(path.name) for path in (tmp_path / 'run/checkpoints').glob('[0-9]*')) == stopped
