"""Hands out the trials of a sweep and follows them until all have ended.

It may be killed at any moment: what it knows lies in the files of the sweep and of the trials, and
the same command goes on from there.
"""

import contextlib
import itertools
import logging
import os
import pathlib
import signal
import time
from collections.abc import Iterator, Sequence
from types import FrameType

from vitlab import workdir
from vitlab.errors import UserError
from vitlab.sweep import backends, trial
from vitlab.sweep.backends import Job, Printer, Runner
from vitlab.sweep.definition import Definition, keep
from vitlab.sweep.table import Table
from vitlab.sweep.trial import ENDED, FAILED, LAUNCHER, PRUNED, RUNNING, WAITING, Trial
from vitlab.sweep.tuner import Tuner, require

_log = logging.getLogger(__name__)

PREEMPTED = os.EX_TEMPFAIL  # 75, `vitlab.hosts.preemption.EXIT_CODE`, which is JAX away
MISTAKE = 2
_TICK = 0.1  # seconds


def run(
  definition: Definition,
  folder: str,
  backend: str = 'local',
  *,
  slots: int = 0,
  retries: int = 1,
  launcher: pathlib.Path = LAUNCHER,
  extra: Sequence[str] = (),
) -> int:
  """Runs a sweep to its end, or goes on with it.

  Args:
    definition: What is swept.
    folder: Of the sweep.
    backend: See `vitlab.sweep.backends`.
    slots: How many trials at once; 0 leaves it to the back-end.
    retries: How often a trial that fails is tried again.
    launcher: The program that runs a trial.
    extra: More flags for it.

  Returns:
    An exit code: 0, 1 if trials have failed, 75 if the sweep was asked to stop.

  Raises:
    UserError: the folder, the back-end or the search cannot be used.
  """
  place = backends.make(backend, pathlib.Path(folder), slots, retries)
  tuned = _is_tuned(definition, place, backend)
  with workdir.hold(folder) as path:
    keep(definition, path)
    (path / 'logs').mkdir(exist_ok=True)
    tuner = Tuner(definition, path) if tuned else None
    controller = Controller(definition, path, tuner, retries, launcher, extra)
    if isinstance(place, Printer):
      left = [each for each in controller.trials if each.state not in ENDED]
      print(place.text(left), end='')
      stopped = False
    else:
      with Table(definition, path) as table, _asked_to_stop() as stop:
        controller.follow(place, table, stop)
      stopped = bool(stop)
      table.close(controller.trials, _page(path), stopped=stopped)
  failed = any(each.state == FAILED for each in controller.trials)
  return PREEMPTED if stopped else int(failed)


def _is_tuned(definition: Definition, place: Runner | Printer, backend: str) -> bool:
  """Whether optuna has a part in this.

  Raises:
    UserError: it has, but is not installed, or would see no result before all have started.
  """
  search = definition.search
  if search is None or (search.method == 'random' and search.pruner is None):
    return False
  if isinstance(place, Printer):
    raise UserError(
      f'--backend={backend} only prints commands, and this search must see results to go on'
      "\nuse --backend=local or slurm, or method='random' without a pruner"
    )
  if place.slots > search.trials:
    raise UserError(
      f'--backend={backend} would start all trials at once, and this search learns from those that'
      ' have ended\nsay how many run at once, for example --slots=4'
    )
  require()
  return True


class Controller:
  """The trials of a sweep, as a session finds and leaves them; see `run` for the arguments.

  Attributes:
    trials: In the order of their numbers; with a tuner, those asked for so far.
  """

  def __init__(
    self,
    definition: Definition,
    path: pathlib.Path,
    tuner: Tuner | None,
    retries: int,
    launcher: pathlib.Path,
    extra: Sequence[str],
  ):
    self._definition, self._path, self._tuner = definition, path, tuner
    self._retries, self._launcher, self._extra = retries, launcher, extra
    self._jobs: dict[int, Job] = {}
    self.trials: list[Trial] = []
    rows = trial.stored(path)
    for number in range(definition.trials if tuner is None else tuner.asked):
      self._add()
      self._restore(self.trials[number], rows.get(number))
    self._store()

  def follow(self, runner: Runner, table: Table, stop: Sequence[int]) -> None:
    """Until all trials have ended, or `stop` holds something and all have saved."""
    asked = False
    while True:
      self._collect(stop)
      if stop and not asked:
        asked = True
        for job in self._jobs.values():
          job.stop()
      if not stop:
        self._prune()
        self._start(runner)
      table.show(self.trials, stopping=asked)
      ended = sum(each.state in ENDED for each in self.trials)
      if not self._jobs and (stop or ended == self._definition.trials):
        return
      time.sleep(_TICK)

  def _add(self) -> None:
    number = len(self.trials)
    point = self._tuner.ask(number) if self._tuner else self._definition.points[number]
    options = dict(launcher=self._launcher, extra=self._extra)
    self.trials.append(trial.make(self._definition, self._path, number, point, **options))

  def _restore(self, found: Trial, row: dict | None) -> None:
    if row is not None:
      trial.restore(found, row)
    found.read()
    if found.state == FAILED and found.failures <= self._retries:
      found.state = WAITING  # more retries than last time
    if found.state in ENDED and self._tuner:
      self._tuner.tell(found)

  def _collect(self, stop: Sequence[int]) -> None:
    """Reads what the running trials have written, and settles those that have ended."""
    for number, job in list(self._jobs.items()):
      code = job.poll()
      each = self.trials[number]
      each.read()
      if code is not None:
        del self._jobs[number]
        self._settle(each, code, bool(stop))

  def _settle(self, each: Trial, code: int, stopping: bool) -> None:
    if each.state == RUNNING:
      if code == PREEMPTED or (stopping and code == -signal.SIGTERM):
        each.state = WAITING
      else:
        each.failures += 1
        each.error = each.last_line(code)
        final = code == MISTAKE or each.failures > self._retries
        each.state = FAILED if final else WAITING
    self._note(each)

  def _prune(self) -> None:
    for number, job in self._jobs.items():
      each = self.trials[number]
      if self._tuner and each.state == RUNNING and self._tuner.is_hopeless(each):
        each.state = PRUNED
        self._store()  # before it can end: a controller killed now must not continue it
        job.stop()

  def _start(self, runner: Runner) -> None:
    room = runner.slots - len(self._jobs)
    ready = list(itertools.islice(self._ready(), room))
    if not ready:
      return
    for each in ready:
      each.state = RUNNING
    self._store()
    jobs = runner.start(ready)
    self._jobs |= {each.number: job for each, job in zip(ready, jobs)}

  def _ready(self) -> Iterator[Trial]:
    """Those that can start now; with a tuner the last ones are asked for at this moment."""
    for each in self.trials:
      # One of a killed controller may still be saving, or even finish.
      if each.state == WAITING and not workdir.is_held(each.folder):
        each.read()
        if each.state == WAITING:
          yield each
        else:
          self._note(each)
    while self._definition.trials > len(self.trials):
      self._add()
      yield self.trials[-1]

  def _note(self, each: Trial) -> None:
    """Writes down what has become of a trial."""
    if each.state in ENDED and self._tuner:
      self._tuner.tell(each)
    self._store()

  def _store(self) -> None:
    trial.store(self._path, self.trials, self._definition.metric)


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
  """Yields a list that is empty until SIGTERM or Ctrl-C; a second Ctrl-C ends at once."""
  asked: list[int] = []

  def handle(number: int, frame: FrameType | None) -> None:
    asked.append(number)
    if number == signal.SIGINT:
      signal.signal(signal.SIGINT, signal.default_int_handler)

  before = {n: signal.signal(n, handle) for n in (signal.SIGTERM, signal.SIGINT)}
  try:
    yield asked
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


def _page(path: pathlib.Path) -> pathlib.Path | None:
  """A page that cannot be drawn is a warning: the trials have ended all the same."""
  try:
    from vitlab.report import sweep as page

    return page.write(path)
  except Exception:
    _log.warning('no page for %s', path, exc_info=True)
    return None
