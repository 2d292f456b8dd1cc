"""One trial of a sweep: a point, the run of the launcher that tries it, and what that has left.

Whether it has finished, and what it reached, is read from the files of the run; what they cannot
say (failures, pruning) from results.jsonl.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import shlex
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from vitlab import workdir
from vitlab.sweep.definition import Definition, flags
from vitlab.sweep.points import Point

RESULTS = 'results.jsonl'
WAITING, RUNNING, FINISHED, FAILED, PRUNED = 'waiting', 'running', 'finished', 'failed', 'pruned'
ENDED = (FINISHED, FAILED, PRUNED)
_TRIED = (RUNNING, FINISHED, PRUNED)  # states in which the last attempt has not failed
LAUNCHER = pathlib.Path(__file__).parents[2] / 'launch.py'


@dataclasses.dataclass
class Trial:
  """See above.

  Attributes:
    number: From 0 on.
    point: What it tries.
    folder: Its workdir.
    log: The file of what it prints.
    command: Its command line, without the Python.
    state: One of the names above.
    failures: How often it has ended as a run should not.
    error: Of the last failure.
    rows: Of metrics.jsonl, as last read.
    result: result.json; empty before the end.
  """

  number: int
  point: Point
  folder: pathlib.Path
  log: pathlib.Path
  command: Sequence[str]
  state: str = WAITING
  failures: int = 0
  error: str | None = None
  rows: Sequence[Mapping[str, Any]] = ()
  result: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  _seen: Any = None

  def read(self) -> None:
    """Reads what the run has written since the last time; a result makes it finished."""
    seen = _stamp(self.folder / workdir.METRICS)
    if seen != self._seen:
      self.rows, self._seen = workdir.read_metrics(self.folder), seen
    if not self.result and (found := workdir.read_result(self.folder)):
      self.result, self.state, self.error = found, FINISHED, None

  @property
  def metrics(self) -> dict[str, float | None]:
    """The newest value of every metric."""
    if self.result:
      return dict(self.result['metrics'])
    newest = {key: row[key] for row in self.rows for key in row}
    return {key: x for key, x in newest.items() if key != 'step' and not key.startswith('time/')}

  @property
  def steps(self) -> int:
    return self.result['steps'] if self.result else self.rows[-1]['step'] if self.rows else 0

  @property
  def seconds(self) -> float:
    """Of training, all sessions together."""
    last = self.rows[-1].get('time/seconds', 0.0) if self.rows else 0.0
    return self.result.get('seconds', last)

  @property
  def shown_command(self) -> str:
    """To be copied into a shell."""
    return shlex.join(['python', *self.command])

  def value(self, metric: str) -> float | None:
    """What a finished trial has reached; None for all others."""
    return self.metrics.get(metric) if self.state == FINISHED else None

  def measured(self, metric: str) -> list[float]:
    """All values of a metric so far, in the order of their steps."""
    return [row[metric] for row in self.rows if row.get(metric) is not None]

  def row(self, metric: str) -> dict[str, Any]:
    """Its line of results.jsonl."""
    return dict(
      trial=self.number,
      state=self.state,
      point=self.point,
      workdir=str(self.folder),
      command=self.shown_command,
      metrics=self.metrics,
      value=self.value(metric),
      steps=self.steps,
      seconds=self.seconds,
      attempts=self.failures + (self.state in _TRIED),
      error=self.error,
    )

  def last_line(self, code: int) -> str:
    """What it said at the end: the message of a mistake (code 2), else the last line of its log."""
    try:
      lines = [line for line in self.log.read_text(errors='replace').splitlines() if line.strip()]
    except OSError:
      lines = []
    said = [line for line in lines if line.startswith('error: ')] if code == 2 else []
    last = (said or lines or [f'exit code {code}, and not a word'])[-1].strip()
    return f'ended by {signal.Signals(-code).name}; before it: {last}' if code < 0 else last


def make(
  definition: Definition,
  folder: pathlib.Path,
  number: int,
  point: Point,
  *,
  launcher: pathlib.Path = LAUNCHER,
  extra: Sequence[str] = (),
) -> Trial:
  """A trial that has not started.

  Args:
    definition: Of the sweep.
    folder: Of the sweep.
    number: From 0 on.
    point: What it tries.
    launcher: The program.
    extra: More flags.
  """
  name = f'trial_{number:03}'
  program = os.path.relpath(launcher)
  if program.startswith('..'):
    program = str(launcher)
  changes = [*definition.overrides, *flags(point)]
  command = [program, f'--config={definition.config}', *changes, *extra]
  command.append(f'--workdir={folder / name}')
  return Trial(number, point, folder / name, folder / 'logs' / f'{name}.txt', command)


def stored(folder: pathlib.Path) -> dict[int, dict[str, Any]]:
  """The lines of results.jsonl by trial; empty before the first."""
  rows = {}
  with contextlib.suppress(OSError):
    for line in (folder / RESULTS).read_text().splitlines():
      row = json.loads(line)
      rows[row['trial']] = row
  return rows


def restore(trial: Trial, row: Mapping[str, Any]) -> None:
  """Gives a trial what its line of results.jsonl says and its files do not."""
  trial.failures = row['attempts'] - (row['state'] in _TRIED)
  trial.error = row['error']
  trial.state = row['state'] if row['state'] in (FAILED, PRUNED) else WAITING


def store(folder: pathlib.Path, trials: Sequence[Trial], metric: str) -> None:
  """Replaces results.jsonl."""
  rows = [workdir.json_line(trial.row(metric)) for trial in trials]
  workdir.replace(folder / RESULTS, b''.join(rows))


def _stamp(path: pathlib.Path) -> tuple[int, int] | None:
  try:
    stat = path.stat()
  except OSError:
    return None
  return stat.st_mtime_ns, stat.st_size
