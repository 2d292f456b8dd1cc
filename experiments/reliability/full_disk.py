"""Fills the disk under a training: a clear error, the checkpoints before it intact, and it goes on.

  python experiments/reliability/full_disk.py        # as root, or where users may have name spaces

The workdir lies on a file system of 12 MB in memory. When the first checkpoint is there, all the
rest is filled; the run goes on and must end with code 2 and three lines that name the folder and
the free space. Every checkpoint on the disk must restore, nothing half-written may be left. When
there is room again the same command must finish like an undisturbed run, bit for bit. A disk that
is full from the start must be refused before anything is written. Exits with 1 otherwise.
"""

import errno
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from kill_training import ROOT, outcome

FLAGS = (
  '--config=configs/vit_digits.py:smoke',
  '--config.duration=400 steps',
  '--config.model.width=128',
  '--config.checkpoint.every=20 steps',
  '--config.checkpoint.keep=1',
)


def start(workdir):
  """The training."""
  return subprocess.Popen(
    [sys.executable, 'launch.py', *FLAGS, f'--workdir={workdir}'],
    cwd=ROOT,
    env=os.environ | {'JAX_PLATFORMS': 'cpu'},
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )


def finish(child, expected, *words):
  """Ends the program unless the training ends with a code and its last lines say the words."""
  errors = child.communicate()[1]
  said = '\n'.join(errors.splitlines()[-3:])
  missing = [word for word in words if word not in said]
  if child.returncode != expected or missing or 'Traceback' in errors:
    sys.exit(f'exit code {child.returncode}, not {expected}; not said: {missing}\n{errors}')
  return said


def fill(path):
  """Writes a file until nothing is left."""
  with open(path, 'wb', buffering=0) as file:
    for size in (65536, 1):
      try:
        while True:
          file.write(bytes(size))
      except OSError as error:
        if error.errno != errno.ENOSPC:
          raise


def check_steps(workdir):
  """Restores every step on the disk; returns them."""
  sys.path.insert(0, str(ROOT))
  from vitlab.workdir.checkpoint import Checkpoints

  folder = workdir / 'checkpoints'
  steps = Checkpoints(folder, read_only=True).steps()
  for step in steps:
    Checkpoints(folder, read_only=True).restore_arrays(step=step)
  # Writes that were under way when another failed make their folders again; the next start cleans.
  left = [path for path in folder.rglob('*') if path.is_file()]
  left = [str(path) for path in left if path.relative_to(folder).parts[0] not in map(str, steps)]
  if left or not steps:
    sys.exit(f'steps {steps}, and left behind {left}')
  return steps


def main():
  if '--inside' not in sys.argv:
    rights = [] if os.geteuid() == 0 else ['unshare', '--user', '--map-root-user', '--mount']
    return subprocess.call([*rights, sys.executable, *sys.argv, '--inside'])
  with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    finish(start(folder / 'undisturbed'), 0)
    small = folder / 'small'
    small.mkdir()
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', small], check=True)
    try:
      fill(small / 'ballast')
      print(finish(start(small / 'run'), 2, 'GB free'))
      (small / 'ballast').unlink()
      child = start(small / 'run')
      while not list((small / 'run' / 'checkpoints').glob('[0-9]*0')):
        time.sleep(0.01)
      fill(small / 'ballast')
      print(finish(child, 2, str(small / 'run'), ' MB are free', 'same command again'))
      print(f'intact: steps {check_steps(small / "run")}')
      (small / 'ballast').unlink()
      finish(start(small / 'run'), 0)
      if outcome(small / 'run') != outcome(folder / 'undisturbed'):
        sys.exit('the continued run differs from the undisturbed one')
    finally:
      subprocess.run(['umount', small], check=True)
  print('continued when there was room again, to the same bits')
  return 0


if __name__ == '__main__':
  sys.exit(main())
