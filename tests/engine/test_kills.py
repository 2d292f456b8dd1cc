"""A few kills of real processes; the full counts are in experiments/reliability/."""

import pathlib
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
  'command, expected',
  [
    ('kill_during_saves.py --kills=2 --megabytes=1', 'all exact; no saved step lost'),
    ('kill_training.py --kills=2', 'each like the undisturbed one bit for bit'),
    (
      'kill_training.py --kills=1 --config=configs/seq2seq_reverse.py:smoke',
      'each like the undisturbed one bit for bit',
    ),
    ('kill_gang.py --times=1 --steps=100', 'each like the undisturbed one bit for bit'),
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
