"""Trials as processes of this machine, each with devices of its own.

A slot is one GPU, or an equal share of the cores: on the CPU the last bits of a result may depend
on how many threads compute it. The processes end with the controller, after they have saved.
"""

import glob
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vitlab.errors import UserError
from vitlab.hosts import machine
from vitlab.sweep.backends import _child
from vitlab.sweep.trial import Trial


class Slot(NamedTuple):
  """What a trial may use.

  Attributes:
    environ: Changes to the environment.
    cores: Numbers of CPU cores.
  """

  environ: Mapping[str, str]
  cores: frozenset[int]


class LocalJob:
  """A process, and the slot it has."""

  def __init__(self, trial: Trial, slot: Slot):
    self.slot = slot
    cores, command = ','.join(map(str, slot.cores)), [sys.executable, *trial.command]
    trial.log.parent.mkdir(exist_ok=True)
    with open(trial.log, 'a') as log:
      log.write(f'$ {trial.shown_command}\n')
      log.flush()
      self._process = subprocess.Popen(
        [sys.executable, '-S', _child.__file__, str(os.getpid()), cores, *command],
        env=os.environ | {'PYTHONUNBUFFERED': '1'} | slot.environ,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is for the controller, which passes it on
      )

  def poll(self) -> int | None:
    return self._process.poll()

  def stop(self) -> None:
    self._process.terminate()


class Local:
  """See above.

  Args:
    slots: How many trials at once.
    gpus: As CUDA_VISIBLE_DEVICES names them; empty where the CPU computes.

  Raises:
    UserError: there are more slots than GPUs.
  """

  def __init__(self, slots: int, gpus: Sequence[str]):
    if gpus and slots > len(gpus):
      raise UserError(f'--slots={slots}, but {len(gpus)} GPUs: one trial takes one at least')
    self.slots = slots
    self._jobs: list[LocalJob] = []
    cores = sorted(os.sched_getaffinity(0))
    share = max(1, len(cores) // slots)
    self._free = []
    for number in range(slots):
      if gpus:
        self._free.append(Slot({'CUDA_VISIBLE_DEVICES': gpus[number]}, frozenset(cores)))
      else:
        own = frozenset(cores[(number * share + i) % len(cores)] for i in range(share))
        self._free.append(Slot({'OMP_NUM_THREADS': str(share)}, own))

  def start(self, trials: Sequence[Trial]) -> list[LocalJob]:
    ended = [job for job in self._jobs if job.poll() is not None]
    self._free += [job.slot for job in ended]
    started = [LocalJob(trial, self._free.pop(0)) for trial in trials[: len(self._free)]]
    self._jobs = [job for job in self._jobs if job not in ended] + started
    return started


def make(slots: int) -> Local:
  """By default one slot a GPU, or one for all cores."""
  gpus = visible_gpus(os.environ)
  return Local(slots or len(gpus) or 1, gpus)


def visible_gpus(environ: Mapping[str, str]) -> list[str]:
  """The GPUs that JAX would use, found without starting it."""
  if machine.runs_on_cpu(environ):
    return []
  if 'CUDA_VISIBLE_DEVICES' in environ:
    return [name for name in environ['CUDA_VISIBLE_DEVICES'].split(',') if name.strip()]
  return [str(number) for number in range(len(glob.glob('/dev/nvidia[0-9]*')))]
