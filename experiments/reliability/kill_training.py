"""Kills a training at random moments: its result must be that of an undisturbed one, bit for bit.

  python experiments/reliability/kill_training.py                     # 20 x SIGKILL
  python experiments/reliability/kill_training.py --signal=TERM       # 20 x SIGTERM
  python experiments/reliability/kill_training.py --signal=GROUP --workers=2

GROUP sends SIGTERM to the data workers too, as SLURM does. After every kill the same command runs
again, with nothing cleaned up. Compared are the fingerprint of the final parameters and the rows of
metrics.jsonl, bit for bit, and no process may be left over. Exits with 1 otherwise.
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
PREEMPTED = 75


def start(workdir, options):
  """The training, in a process group of its own."""
  command = [sys.executable, 'launch.py', f'--config={options.config}', f'--workdir={workdir}']
  command += [
    '--config.checkpoint.every=4 steps',
    '--config.log_every=5 steps',
    '--config.duration=60 steps',
  ]
  command += [f'--config.num_workers={options.workers}']
  return subprocess.Popen(
    command,
    cwd=ROOT,
    start_new_session=True,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )


def outcome(workdir):
  """What must not depend on the kills: the final parameters, and each row but for its times."""
  result = json.loads((workdir / 'result.json').read_text())
  rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
  rows = [{k: v for k, v in row.items() if not k.startswith('time/')} for row in rows]
  return result['fingerprint'], result['metrics'], result['best'], rows


def disturb(child, kind, delay):
  """Sends the signal after a while; the exit code, what was printed, and whether it was sent."""
  try:
    errors = child.communicate(timeout=delay)[1]
    return child.returncode, errors, False
  except subprocess.TimeoutExpired:
    pass
  if kind == 'GROUP':
    os.killpg(child.pid, signal.SIGTERM)
  else:
    child.send_signal(getattr(signal, f'SIG{kind}'))
  errors = child.communicate(timeout=60)[1]
  return child.returncode, errors, True


def is_alive(group):
  """Whether a process of the group is left 5 seconds later."""
  for _ in range(50):
    try:
      os.killpg(group, 0)
    except ProcessLookupError:
      return False
    time.sleep(0.1)
  return True


def check_exit(code, errors, kind, sent):
  """Ends the program if a life ended as none should."""
  # Before Python has installed its handler, SIGTERM simply ends a process.
  allowed = {0} if not sent else {0, -signal.SIGKILL} if kind == 'KILL' else {0, PREEMPTED, -15}
  if code not in allowed:
    sys.exit(f'exit code {code}:\n{errors}')


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--kills', type=int, default=20)
  parser.add_argument('--signal', choices=('KILL', 'TERM', 'GROUP'), default='KILL')
  parser.add_argument('--config', default='configs/vit_digits.py:smoke')
  parser.add_argument('--workers', type=int, default=0)
  parser.add_argument('--seed', type=int, default=0)
  options = parser.parse_args()
  chance = random.Random(options.seed)
  kills = runs = preempted = 0
  with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    begin = time.perf_counter()
    check_exit(*disturb(start(folder / 'undisturbed', options), '', None)[:2], '', False)
    seconds = time.perf_counter() - begin
    expected = outcome(folder / 'undisturbed')
    while kills < options.kills or not (folder / f'{runs}' / 'result.json').exists():
      # Also the last run is completed, undisturbed from the last kill on.
      delay = chance.uniform(0, seconds) if kills < options.kills else None
      child = start(folder / f'{runs}', options)
      code, errors, sent = disturb(child, options.signal, delay)
      check_exit(code, errors, options.signal, sent)
      if is_alive(child.pid):
        sys.exit('a process has outlived the run')
      kills += sent and code != 0
      preempted += code == PREEMPTED
      if code == 0:
        if outcome(folder / f'{runs}') != expected:
          sys.exit(f'run {runs} differs from the undisturbed one after {kills} kills')
        runs += kills < options.kills
  print(
    f'{kills} x SIG{options.signal} ({preempted} answered with exit code {PREEMPTED}) in '
    f'{runs + 1} runs, each like the undisturbed one bit for bit'
  )
  return 0


if __name__ == '__main__':
  sys.exit(main())
