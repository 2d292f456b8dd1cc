"""Stands in for launch.py in tests of sweeps: a run of milliseconds that leaves what a run leaves.

It holds the lock of its workdir, goes on where it was, and stops at SIGTERM with code 75. What it
reaches grows with the steps and is best at a learning rate of 1e-3. `--stub` is a JSON object:

  starts   a file that gets a line at every start: the name of the workdir; beside it, name.again
           says that a finished run has been started
  steps    how many (4)
  seconds  of each (0.005)
  codes    {seed: [exit code of the first start, of the second, ...]}; 0 finishes
"""

import fcntl
import json
import math
import os
import pathlib
import re
import signal
import sys
import time

PATH = pathlib.Path(__file__)


def write(path, text):
  beside = path.with_suffix('.tmp')
  beside.write_text(text)
  beside.replace(path)


def main():
  given = dict(re.match(r'--([\w.]+)=(.*)', text, re.DOTALL).groups() for text in sys.argv[1:])
  stub = json.loads(given['stub'])
  folder = pathlib.Path(given['workdir'])
  folder.mkdir(parents=True, exist_ok=True)
  lock = open(folder / '.lock', 'a+')  # noqa: SIM115
  fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
  stopped = []
  signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
  with open(stub['starts'], 'a') as file:
    file.write(f'{folder.name}\n')
  if (folder / 'result.json').exists():
    pathlib.Path(stub['starts']).with_suffix('.again').touch()
    return 0
  starts = pathlib.Path(stub['starts']).read_text().split().count(folder.name)
  codes = stub.get('codes', {}).get(given.get('config.seed', '0'), [])
  code = codes[starts - 1] if starts <= len(codes) else 0
  if code < 0:
    os.kill(os.getpid(), -code)
  if code:
    print(f'error: start {starts} ends with {code}\nand this is why')
    return code
  return train(given, stub, folder, stopped)


def train(given, stub, folder, stopped):
  quality = 1 - abs(math.log10(float(given.get('config.optim.learning_rate', 1e-3))) + 3) / 4
  path = folder / 'metrics.jsonl'
  lines = path.read_text().splitlines() if path.exists() else []
  steps = stub.get('steps', 4)
  for step in range(len(lines) + 1, steps + 1):
    time.sleep(stub.get('seconds', 0.005))
    if stopped:
      return 75
    row = {'step': step, 'test/accuracy': quality * (1 - 0.5**step), 'time/seconds': 0.1 * step}
    lines.append(json.dumps(row))
    write(path, '\n'.join([*lines, '']))
  metrics = {'test/accuracy': json.loads(lines[-1])['test/accuracy']}
  write(folder / 'result.json', json.dumps(dict(metrics=metrics, steps=steps, seconds=0.1 * steps)))
  return 0


if __name__ == '__main__':
  sys.exit(main())
