"""Kills a process with SIGKILL at random moments while it saves checkpoints as fast as it can.

  python experiments/reliability/kill_during_saves.py               # 60 kills, 5 minutes
  python experiments/reliability/kill_during_saves.py --kills=3 --megabytes=1

After every kill the next process restores every step on the disk and compares it bit for bit with
what must be in it, and nothing that was reported as saved may be lost. Exits with 1 otherwise.
"""

import argparse
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def write(directory, megabytes):
  """The process that is killed: verifies what is there, then saves step after step."""
  import jax
  import jax.numpy as jnp
  import numpy as np

  from vitlab.workdir.checkpoint import Checkpoints

  def state_of(step):
    values = np.random.default_rng(step).normal(size=(megabytes, 2**17))
    return {'step': jnp.int32(step), 'params': jnp.asarray(values), 'ema': {}}

  state = state_of(0)
  abstract = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
  )
  before = sorted(path.name for path in pathlib.Path(directory).glob('*tmp*'))
  checkpoints = Checkpoints(directory, keep=3, keep_every=7)
  for step in checkpoints.steps():
    restored = checkpoints.restore(abstract, step=step)
    expected = state_of(step)
    assert restored.meta == {'step': step}
    assert all(map(np.array_equal, jax.tree.leaves(restored.state), jax.tree.leaves(expected)))
  newest = checkpoints.restore(abstract)
  print('ready', newest.step if newest else 0, len(checkpoints.steps()), len(before), flush=True)
  step = newest.step if newest else 0
  while True:
    step += 1
    checkpoints.save(step, state_of(step), {'step': step})
    checkpoints.wait()
    print('saved', step, flush=True)


def kill(directory, megabytes, saves, share):
  """One life, ended a `share` of a save's duration after its n-th save.

  Returns:
    What it found (newest step, number of steps, whether a save had been torn), and the newest step
    that it reported as saved.
  """
  child = subprocess.Popen(
    [sys.executable, __file__, '--write', str(directory), f'--megabytes={megabytes}'],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    env=os.environ | {'JAX_PLATFORMS': 'cpu'},
  )
  times, lines = [], []
  for line in child.stdout:
    lines.append(line.split()[1:])
    times.append(time.perf_counter())
    if len(lines) > saves:
      break
  if len(lines) <= saves:
    sys.exit(child.communicate()[1])
  time.sleep(share * (times[-1] - times[-2]))
  child.send_signal(signal.SIGKILL)
  lines += [line.split()[1:] for line in child.communicate()[0].splitlines()]
  found, *saved = [[int(number) for number in line] for line in lines]
  return found, max(saved)[0]


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--kills', type=int, default=60)
  parser.add_argument('--megabytes', type=int, default=8, help='size of a checkpoint')
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--write', help=argparse.SUPPRESS)
  options = parser.parse_args()
  if options.write:
    write(options.write, options.megabytes)
  chance = random.Random(options.seed)
  committed = verified = torn = 0
  with tempfile.TemporaryDirectory() as directory:
    for _ in range(options.kills + 1):  # the last life verifies what the others have left
      (newest, steps, remains), saved = kill(
        directory, options.megabytes, chance.randint(1, 3), chance.random()
      )
      if newest < committed:
        print(f'step {committed} was saved and is lost, the newest is {newest}')
        return 1
      committed = saved
      verified += steps
      torn += remains > 0
  print(f'{options.kills} kills, {torn} of them within a save; {committed} steps saved')
  print(f'{verified} steps restored and compared, all exact; no saved step lost')
  return 0


if __name__ == '__main__':
  sys.exit(main())
