"""Checkpoints of a run: written while training goes on, verified when read, never silently wrong.

The only module that manages orbax (its v0 `CheckpointManager`). Besides what orbax does, here:
  - every step carries a fingerprint of its state, see `vitlab.workdir.stored_step`;
  - a damaged newest step is named and set aside, and the newest good one is used;
  - a metric that is NaN never is the best one;
  - deletion renames first: a kill in between leaves no half-deleted step that looks whole;
  - a write that fails is reported at the next opportunity, its remains are removed, the older steps
    stay and saving can go on.
"""

import contextlib
import dataclasses
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp
from etils import epath

from vitlab.errors import UserError
from vitlab.workdir import retention, stored_step

_log = logging.getLogger(__name__)
# Orbax logs a page of traceback for what we report in a line.
logging.getLogger('absl').addFilter(lambda record: '/orbax/' not in record.pathname)

_NAMES = ocp.path.step.standard_name_format()  # of steps; whatever else lies beside them is no step
_TRASH = 'trash'  # where orbax moves what retention deletes
_DAMAGED = 'damaged'  # where bad steps are set aside


class CheckpointError(UserError):
  """A checkpoint could not be written; the older ones are intact and saving can go on."""


class Restored(NamedTuple):
  """A restored step: `state` as asked for, `meta` and `metrics` as given to `save`."""

  state: Any
  step: int
  meta: dict[str, Any]
  metrics: dict[str, float]


class Checkpoints:
  """The checkpoints of one workdir.

  Args:
    directory: holds one folder per step; made if absent (unless read-only).
    keep: how many of the newest steps are kept.
    keep_every: steps divisible by it are never deleted; 0 is off.
    best: the metric whose best step is kept; '' is off.
    best_mode: 'max' or 'min'.
    read_only: for a run that another process may be writing: nothing is removed or set aside.
  """

  def __init__(
    self,
    directory: str | os.PathLike[str],
    *,
    keep: int = 2,
    keep_every: int = 0,
    best: str = '',
    best_mode: str = 'max',
    read_only: bool = False,
  ):
    text = os.fspath(directory)
    self._directory = epath.Path(text if '://' in text else os.path.abspath(text))
    self._retention = retention.Retention(keep, keep_every, best, best_mode)
    self._read_only = read_only
    self._current: int | None = None  # the step last saved or restored by this object
    self._manager: ocp.CheckpointManager | None = None
    if self._directory.exists() and not self._directory.is_dir():
      raise UserError(
        f'{self._directory} is a file, not a folder of checkpoints: restore or remove it'
      )
    if not read_only:
      self._open()
    for step in self.steps() if best else ():
      with contextlib.suppress(stored_step.Damaged):
        self._retention.add(step, stored_step.read_meta(self._folder(step)).metrics)

  def steps(self) -> list[int]:
    """The steps on the disk, in order."""
    if not self._directory.exists():
      return []
    return sorted(found.step for found in _NAMES.find_all(self._directory))

  def latest(self) -> int | None:
    """The newest step on the disk."""
    return max(self.steps(), default=None)

  def best(self) -> int | None:
    """The step with the best value of the metric; None when no step has a finite one."""
    return self._retention.best_of(self.steps())

  def save(
    self,
    step: int,
    state: Any,
    meta: Mapping[str, Any],
    metrics: Mapping[str, float] | None = None,
  ) -> bool:
    """Starts to write a step and returns while it is being written; every process must call it.

    The state may be donated or changed as soon as this returns.

    Args:
      step: the number of updates the state has seen.
      state: tree of arrays: dicts, tuples and NamedTuples, also empty.
      meta: anything JSON can hold: config, versions, facts of the data set.
      metrics: latest values by name; one without the metric of `best` cannot become the best step.

    Returns:
      False if this very step was already saved or restored: there is nothing to do.

    Raises:
      CheckpointError: this save, or the one before it in the background, could not be written.
      UserError: the step exists already, from another course of the run.
    """
    self.wait()
    if step in self.steps():
      if step == self._current:
        return False
      raise UserError(
        f'checkpoint of step {step} exists in {self._directory}, from another course of the run\n'
        f'remove the steps after {self._current} or use another --workdir'
      )
    self._purge(self._directory / _TRASH)
    metrics = {name: float(value) for name, value in (metrics or {}).items()}
    arguments = stored_step.pack(step, state, meta, metrics)
    self._retention.add(step, metrics)
    with self._reporting(step):
      self._current = step
      # Forced: when to save is the loop's decision, and unforced orbax skips silently.
      self._manager.save(step, args=arguments, force=True)
    return True

  def check(self) -> None:
    """Raises the `CheckpointError` of a background write that has failed; does not wait."""
    # Not `check_for_errors` of orbax: its own finalising thread swallows what that would raise.
    if not self._manager.is_saving_in_progress():
      self.wait()

  def wait(self) -> None:
    """Waits until the last save is on the disk; raises `CheckpointError` if it could not be."""
    with self._reporting(self._current):
      self._manager.wait_until_finished()

  def close(self) -> None:
    """Waits for the last save, empties the trash and ends the threads of orbax."""
    if self._manager is None:
      return
    try:
      self.wait()
    finally:
      self._purge(self._directory / _TRASH)
      self._manager.close()

  def restore(self, abstract: Any, step: int | None = None) -> Restored | None:
    """The newest good step (or the given one) on the devices; every process must call it.

    Args:
      abstract: tree of `jax.ShapeDtypeStruct` with shardings: any mesh, any number of devices.
      step: a certain step instead of the newest good one.

    Returns:
      None if there is no checkpoint at all.

    Raises:
      UserError: the state does not fit; the given step, or every step, is damaged or absent.
    """
    return self._newest_good(lambda f, s: stored_step.read_state(f, s, abstract), step)

  def restore_arrays(
    self, parts: Sequence[str] = ('variables',), step: int | None = None
  ) -> Restored | None:
    """Like `restore`, without a template: some fields of the state as nested dicts (NumPy).

    A read-only reader does not wait for other processes: process 0 alone makes the report.
    """
    alone = self._read_only
    return self._newest_good(lambda f, s: stored_step.read_arrays(f, s, parts, alone), step, alone)

  def _newest_good(self, read: Any, step: int | None, alone: bool = False) -> Restored | None:
    steps = self.steps()
    if not alone and not stored_step.same_everywhere([len(steps), *(steps[-1:] or [-1])]):
      raise UserError(
        f'the processes see different checkpoints in {self._directory}\n'
        '--workdir must be on storage that all of them share'
      )
    if step is not None and step not in steps:
      raise UserError(f'no checkpoint of step {step} in {self._directory}: there are {steps}')
    damaged: dict[int, str] = {}
    for candidate in reversed(steps if step is None else [step]):
      folder = self._folder(candidate)
      try:
        stored = stored_step.read_meta(folder)
        state = read(folder, stored)
      except stored_step.Damaged as reason:
        if folder.exists():  # else the run that is being written has just deleted it
          damaged[candidate] = str(reason)
        continue
      self._set_aside(damaged, candidate)
      self._current = candidate
      return Restored(state, candidate, stored.meta, stored.metrics)
    if damaged:
      reasons = '; '.join(f'{bad} ({reason})' for bad, reason in damaged.items())
      raise UserError(
        f'no checkpoint in {self._directory} can be restored, damaged: {reasons}\n'
        'training does not start again from step 0 by itself\n'
        'put back a copy of a step, or remove the folder to start again'
      )
    if steps:  # all were deleted while we read them: the run being written is ahead of us
      return self._newest_good(read, None, alone)
    return None

  def _set_aside(self, damaged: Mapping[int, str], good: int) -> None:
    """Names the bad steps and moves them away: orbax would skip later saves of the same steps."""
    if not damaged:
      return
    reasons = '; '.join(f'{bad} ({reason})' for bad, reason in damaged.items())
    _log.warning('damaged checkpoint %s in %s: using step %d', reasons, self._directory, good)
    if self._read_only:
      return
    if jax.process_index() == 0:
      aside = self._directory / _DAMAGED
      aside.mkdir(exist_ok=True)
      for bad in damaged:
        self._purge(aside / str(bad))
        self._folder(bad).rename(aside / str(bad))
    stored_step.same_everywhere(0)  # nobody goes on before the move is done
    self._manager.close()
    self._open()

  def _folder(self, step: int) -> epath.Path:
    return self._directory / str(step)

  def _open(self) -> None:
    options = ocp.CheckpointManagerOptions(
      preservation_policy=self._retention,
      todelete_subdir=_TRASH,
      cleanup_tmp_directories=True,
      save_root_metadata=False,
    )
    try:
      self._manager = ocp.CheckpointManager(self._directory, options=options)
    except OSError as error:
      raise UserError(
        f'checkpoints cannot be written to {self._directory}: {error.strerror}\n'
        'give a --workdir that can be written'
      ) from error
    except Exception:
      # A damaged file of some step must not stop us here: read none. (Not the rule, for orbax then
      # fails to compute a statistic when several processes are preempted.)
      options = dataclasses.replace(options, lightweight_initialize=True)
      self._manager = ocp.CheckpointManager(self._directory, options=options)

  def _purge(self, path: epath.Path) -> None:
    if jax.process_index() == 0 and path.exists():
      shutil.rmtree(path, ignore_errors=True)

  @contextlib.contextmanager
  def _reporting(self, step: int | None) -> Iterator[None]:
    """Turns a failed write into a `CheckpointError` and leaves the older steps ready for use."""
    try:
      yield
    except (jax.errors.JaxRuntimeError, UserError):
      raise  # of the computation that makes the state, not of the write
    except Exception as error:
      if jax.process_count() == 1:  # several processes no longer agree: they end here
        with contextlib.suppress(Exception):
          self._manager.close()
        for remains in self._directory.glob(f'{step}.orbax-checkpoint-tmp*'):
          self._purge(remains)
        self._open()
      reason = next(iter(str(error).strip().splitlines()), '')[:200]
      raise CheckpointError(
        f'checkpoint of step {step} could not be written: {type(error).__name__}: {reason}\n'
        f'{_free_space(self._directory)}; intact are the steps {self.steps()}\n'
        'make room (or move --workdir) and run the same command again'
      ) from error


def _free_space(directory: epath.Path) -> str:
  try:
    return f'{shutil.disk_usage(directory).free / 1e6:.0f} MB are free in {directory}'
  except OSError:
    return f'{directory} cannot be looked at'
