"""Where the numbers of a run go: metrics.jsonl, which is the record, and TensorBoard.

A disk that is full or gone never stops a training run: what cannot be written waits in memory until
there is room again.
"""

import logging
import pathlib
import socket
import time
from collections.abc import Mapping

from vitlab import workdir
from vitlab.workdir import tensorboard

_log = logging.getLogger(__name__)


class Writers:
  """Writes one row of metrics for each logged step; a context manager.

  Args:
    folder: the workdir.
    restored_step: rows after it belong to work that is done again: dropped from metrics.jsonl,
      marked as superseded for TensorBoard.

  Attributes:
    rows: All rows of the run so far, {'step': 50, 'train/loss': 0.7, ...}, oldest first.
  """

  def __init__(self, folder: pathlib.Path, restored_step: int = 0):
    self.rows = workdir.rewind_metrics(folder, restored_step)
    self._metrics = _File(folder / workdir.METRICS)
    self._events = _File(folder / f'events.out.tfevents.{time.time():.0f}.{socket.gethostname()}')
    self._events.add(tensorboard.header())
    if restored_step:
      self._events.add(tensorboard.restart(restored_step + 1))

  def write(self, step: int, metrics: Mapping[str, float]) -> None:
    """Appends the row of a step; the step must be later than that of the last row."""
    if self.rows and step <= self.rows[-1]['step']:
      raise ValueError(f'step {step} is not after the last logged one, {self.rows[-1]["step"]}')
    row = {'step': step, **metrics}
    self.rows.append(row)
    self._metrics.add(workdir.json_line(row))
    self._events.add(tensorboard.scalars(step, metrics))

  def has(self, step: int) -> bool:
    """Whether the row of this step is written."""
    return bool(self.rows) and self.rows[-1]['step'] >= step

  def __enter__(self) -> 'Writers':
    return self

  def __exit__(self, *_: object) -> None:
    self._metrics.flush()
    self._events.flush()


class _File:
  """A file that grows by whole entries."""

  def __init__(self, path: pathlib.Path):
    self._path, self._waiting = path, b''
    self._size = path.stat().st_size if path.exists() else 0

  def add(self, entry: bytes) -> None:
    self._waiting += entry
    self.flush()

  def flush(self) -> None:
    if not self._waiting:
      return
    try:
      with open(self._path, 'r+b' if self._size else 'wb') as file:
        # A write that failed half-way left a torn entry: continue behind the last whole one.
        file.truncate(self._size)
        file.seek(self._size)
        file.write(self._waiting)
    except OSError as error:
      _log.warning('%s cannot be written now, trying again later: %s', self._path.name, error)
      return
    self._size += len(self._waiting)
    self._waiting = b''
