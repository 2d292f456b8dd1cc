"""Trains for very many tiny steps in one session: nothing may grow.

  python experiments/reliability/soak.py                    # 100,000 steps

Prints the resident memory, the open files and the threads of the process by tenths of the run, with
a row of metrics every 100 steps, an evaluation and a checkpoint every 1,000. Exits with 1 if after
the second tenth memory grows by 5 % or more, or the least number of files or threads at all: a save
under way holds some more.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from kill_gang import events
from kill_training import ROOT


class Sample(NamedTuple):
  """Of a process while it trains."""

  step: int
  megabytes: float
  files: int
  threads: int


def start(workdir, steps):
  """The training: a model of no size, whatever else a run does."""
  flags = {
    'duration': f'{steps} steps',
    'model.width': 8,
    'model.depth': 1,
    'model.mlp_dim': 8,
    'batch_size': 8,
    'log_every': '100 steps',
    'evaluators.test.every': '1000 steps',
    'checkpoint.every': '1000 steps',
  }
  command = [sys.executable, 'launch.py', '--config=configs/vit_digits.py:smoke']
  command += [f'--workdir={workdir}', *(f'--config.{key}={x}' for key, x in flags.items())]
  environ = os.environ | {'JAX_PLATFORMS': 'cpu'}
  return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL)


def sample(pid, workdir):
  """What the process holds now; None before it steps and when it has ended."""
  process = pathlib.Path(f'/proc/{pid}')
  try:
    pages = int((process / 'statm').read_text().split()[1])
    files, threads = (len(list((process / name).iterdir())) for name in ('fd', 'task'))
  except (OSError, IndexError):
    return None
  found = events(workdir)
  step = found[-1]['step'] if found and found[-1]['event'] == 'train' else 0
  return Sample(step, pages * os.sysconf('SC_PAGE_SIZE') / 1e6, files, threads) if step else None


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--steps', type=int, default=100_000)
  options = parser.parse_args()
  tenths = [[] for _ in range(10)]
  with tempfile.TemporaryDirectory() as folder:
    workdir, begin = pathlib.Path(folder) / 'run', time.perf_counter()
    child = start(workdir, options.steps)
    while child.poll() is None:
      time.sleep(options.steps / 200_000)
      if found := sample(child.pid, workdir):
        tenths[min(10 * found.step // options.steps, 9)].append(found)
    if child.returncode:
      return child.returncode
  print(f'{options.steps:,} steps in {time.perf_counter() - begin:.0f} s')
  print(f'{"steps":>9}{"MB":>9}{"files":>7}{"most":>6}{"threads":>9}{"most":>6}')
  rest = []
  for number, samples in enumerate(tenths):
    _, megabytes, files, threads = zip(*samples, strict=True)
    rest.append((statistics.median(megabytes), min(files), min(threads)))
    row = f'{(number + 1) * options.steps // 10:9,}{rest[-1][0]:9.1f}'
    print(f'{row}{min(files):7}{max(files):6}{min(threads):9}{max(threads):6}')
  early, late = rest[1], [max(column) for column in zip(*rest[2:], strict=True)]
  growth = late[0] / early[0] - 1
  print(f'memory grew by {100 * growth:.1f} % after the second tenth')
  return int(growth >= 0.05 or late[1] > early[1] or late[2] > early[2])


if __name__ == '__main__':
  sys.exit(main())
