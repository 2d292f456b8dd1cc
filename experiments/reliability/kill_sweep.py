"""Kills a sweep at random moments: its results must be those of an undisturbed one, bit for bit.

  python experiments/reliability/kill_sweep.py                # 12 trials, 2 slots, 3 x SIGKILL

Killed are the controller and its trials, at once; then the same command runs again, with nothing
cleaned up. Compared are the fingerprints of the final parameters, the rows of results.jsonl and
those of metrics.jsonl; no trial that had finished may start again. Exits with 1 otherwise.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TRIALS = 12
POINTS = """
from vitlab.sweep.points import product, seeds


def sweep(add):
  for point in product({'optim.learning_rate': [1e-3, 2e-3, 5e-3, 1e-2]}, seeds(3)):
    add(point)
"""


def start(folder, points, options):
  """The sweep, in a process group of its own."""
  command = [sys.executable, 'launch.py', '--mode=sweep', f'--config={options.config}']
  command += [f'--sweep={points}', f'--slots={options.slots}', f'--workdir={folder}']
  command += ['--config.duration=60 steps', '--config.checkpoint.every=10 steps']
  return subprocess.Popen(
    command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
  )


def wait_for(controller, folder, count):
  """Until so many trials have finished."""
  while len(finished(folder)) < count:
    if controller.poll() is not None:
      finish(controller)
    time.sleep(0.05)


def kill(controller):
  """Kills the controller and its trials, which are in groups of their own."""
  os.kill(controller.pid, signal.SIGSTOP)  # it must not see them end, nor start another
  children = pathlib.Path(f'/proc/{controller.pid}/task/{controller.pid}/children').read_text()
  for pid in map(int, children.split()):
    os.killpg(pid, signal.SIGKILL)
  controller.kill()
  controller.communicate()


def finish(controller):
  """Waits for the end of a sweep that nobody disturbs."""
  errors = controller.communicate()[1]
  if controller.returncode:
    sys.exit(f'exit code {controller.returncode}:\n{errors.decode()}')


def outcome(folder):
  """What must not depend on the kills."""
  found = []
  for line in (folder / 'results.jsonl').read_text().splitlines():
    row = json.loads(line)
    path = pathlib.Path(row['workdir'])
    row = {k: x for k, x in row.items() if k not in ('workdir', 'command', 'seconds')}
    result = json.loads((path / 'result.json').read_text())
    steps = [json.loads(line) for line in (path / 'metrics.jsonl').read_text().splitlines()]
    steps = [{k: x for k, x in step.items() if not k.startswith('time/')} for step in steps]
    found.append((row, result['fingerprint'], steps))
  return found


def starts(folder):
  """Trial -> how often it was started."""
  return {log.stem: log.read_text().count('$ python ') for log in folder.glob('logs/*.txt')}


def finished(folder):
  return {path.parent.name for path in folder.glob('trial_*/result.json')}


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--kills', type=int, default=3)
  parser.add_argument('--slots', type=int, default=2)
  parser.add_argument('--config', default='configs/vit_digits.py:smoke')
  parser.add_argument('--seed', type=int, default=0)
  options = parser.parse_args()
  chance = random.Random(options.seed)
  with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    points = folder / 'points.py'
    points.write_text(POINTS)
    begin = time.perf_counter()
    finish(start(folder / 'undisturbed', points, options))
    seconds = time.perf_counter() - begin
    killed, counts = folder / 'killed', []
    share = TRIALS / (options.kills + 1)
    for number in range(options.kills):
      controller = start(killed, points, options)
      # At any moment of a trial, but not all at the beginning or after the end.
      wait_for(controller, killed, int(share * (number + chance.random())))
      time.sleep(chance.uniform(0, seconds / TRIALS))
      kill(controller)
      counts.append((finished(killed), starts(killed)))
    finish(start(killed, points, options))
    again = starts(killed)
    repeated = [n for names, count in counts for n in names if again[n] > count[n]]
    if repeated:
      sys.exit(f'started again after they had finished: {", ".join(repeated)}')
    if outcome(killed) != outcome(folder / 'undisturbed'):
      sys.exit('the results differ from those of the undisturbed sweep')
    print(
      f'{options.kills} x SIGKILL to a sweep of {len(again)} trials ({seconds:.0f} s undisturbed), '
      f'{", ".join(str(len(names)) for names, _ in counts)} of them finished by then: '
      f'{sum(again.values())} starts, none after the end; results equal bit for bit'
    )
  return 0


if __name__ == '__main__':
  sys.exit(main())
