"""Trials as jobs of SLURM, in arrays, by submitit.

  --backend=slurm,slurm_partition=gpu,gpus_per_node=1,timeout_min=240

The options are those of submitit's `AutoExecutor.update_parameters`. A job that SLURM preempts, or
whose time is over, saves and goes back into the queue. Jobs outlive a killed controller, and the
next one finds them. `cluster=local` runs them as processes here, to try it.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Sequence
from typing import Any

from vitlab import workdir
from vitlab.errors import UserError
from vitlab.sweep.trial import LAUNCHER, Trial

_LOST = ('PREEMPTED', 'NODE_FAIL', 'REQUEUED', 'BOOT_FAIL')  # the machine, not the trial


class Run:
  """What a job does: one trial."""

  def __init__(self, command: Sequence[str], log: pathlib.Path):
    self._command, self._log = list(command), log
    self._process: subprocess.Popen | None = None

  def __call__(self) -> int:
    self._log.parent.mkdir(exist_ok=True)
    with open(self._log, 'a') as log:
      self._process = subprocess.Popen(
        # SLURM sends its warning to every process of a job; it would end one that knows nothing.
        ['sh', '-c', 'trap "" USR2; exec "$@"', 'sh', sys.executable, *self._command],
        env=os.environ | {'PYTHONUNBUFFERED': '1'},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
      )
      return self._process.wait()

  def checkpoint(self) -> Any:
    """The job must leave its node: lets the trial save, and says what to do next time."""
    import submitit

    if self._process is not None:
      self._process.terminate()
      os.waitpid(self._process.pid, 0)  # not wait(): this interrupts one, which holds its lock
    return submitit.helpers.DelayedSubmission(Run(self._command, self._log))


class SlurmJob:
  """A job in the queue, or running."""

  def __init__(self, job: Any):
    self._job, self._stopped = job, False

  def poll(self) -> int | None:
    if not self._job.done():
      return None
    try:
      return self._job.result()
    except Exception:  # of submitit: the job has left no result
      return os.EX_TEMPFAIL if self._stopped or self._job.state in _LOST else 1

  def stop(self) -> None:
    self._stopped = True
    self._job.cancel()  # SIGTERM, and SIGKILL after the KillWait of the cluster


class Slurm:
  """See above.

  Args:
    executor: Makes that of submitit, which makes its folder at once.
    folder: Where submitit keeps its files.
    slots: How many jobs at once.
  """

  def __init__(self, executor: Callable[[pathlib.Path], Any], folder: pathlib.Path, slots: int):
    self._make, self._folder, self.slots = executor, folder, slots
    self._executor: Any = None

  def start(self, trials: Sequence[Trial]) -> list[SlurmJob]:
    self._executor = self._executor or self._make(self._folder)
    known = workdir.read_json(self._folder / 'jobs.json') or {}
    jobs = {trial.number: self._living(known.get(str(trial.number))) for trial in trials}
    new = [trial for trial in trials if jobs[trial.number] is None]
    if new:
      self._executor.update_parameters(slurm_array_parallelism=len(new))
      with self._executor.batch():
        for trial in new:
          jobs[trial.number] = self._executor.submit(Run(trial.command, trial.log.absolute()))
    known |= {str(number): job.job_id for number, job in jobs.items()}
    workdir.write_json(self._folder / 'jobs.json', known)
    return [SlurmJob(jobs[trial.number]) for trial in trials]

  def _living(self, number: str | None) -> Any:
    """The job that a killed controller has left in the queue, or None."""
    import submitit

    if number is None or self._executor.cluster != 'slurm':
      return None
    job = submitit.SlurmJob(self._folder, number)
    return None if job.done(force_check=True) else job


def make(folder: pathlib.Path, slots: int, cluster: str = 'slurm', **options: str) -> Slurm:
  """By default all trials are in the queue at once.

  Raises:
    UserError: no submitit, no SLURM, or an option that submitit does not know.
  """
  submitit = _import()
  if cluster == 'slurm' and shutil.which('srun') is None:
    raise UserError(
      '--backend=slurm, but there is no SLURM here: srun is not found\n'
      'start the sweep where jobs are submitted, or use --backend=local'
    )
  # Jobs inherit it, and must find `Run` from whichever folder the sweep was started in.
  os.environ['PYTHONPATH'] = os.pathsep.join(
    filter(None, [str(LAUNCHER.parent), os.environ.get('PYTHONPATH')])
  )

  def executor(path: pathlib.Path) -> Any:
    made = submitit.AutoExecutor(path, cluster=cluster, slurm_max_num_timeout=sys.maxsize)
    numbers = {key: int(text) if text.isdigit() else text for key, text in options.items()}
    made.update_parameters(slurm_job_name=folder.name, **numbers)
    return made

  try:
    with tempfile.TemporaryDirectory() as scratch:
      executor(pathlib.Path(scratch))
  except (NameError, TypeError, ValueError, AssertionError) as error:
    raise UserError(f'--backend=slurm: {error}'.partition('\n')[0]) from error
  return Slurm(executor, folder.absolute() / 'slurm', slots or sys.maxsize)


def _import() -> types.ModuleType:
  # Left to itself it configures logging when it is imported, and so closes the handlers of others.
  os.environ.setdefault('SUBMITIT_LOG_LEVEL', 'NOCONFIG')
  try:
    import submitit
  except ImportError:
    raise UserError(
      '--backend=slurm needs submitit, which is not installed: pip install "submitit>=1.5,<2"'
      '\nor print the command lines for a script of your own: --backend=commands'
    ) from None
  return submitit
