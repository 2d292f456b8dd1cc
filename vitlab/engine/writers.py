"""Where the numbers of a run go: metrics.jsonl, which is the record, and TensorBoard.

A disk that is full or gone never stops a training run: rows wait in memory and are written when
there is room again.
"""

import logging
import pathlib
from collections.abc import Mapping
from types import TracebackType

import tensorboardX

from vitlab.engine import workdir

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
    self._path = folder / workdir.METRICS
    self._size = self._path.stat().st_size
    self._waiting = b''
    self._events = None
    try:
      purge_step = restored_step + 1 if restored_step else None
      self._events = tensorboardX.SummaryWriter(str(folder), purge_step=purge_step)
    except OSError as error:
      _log.warning('no TensorBoard events for this run: %s', error)

  def write(self, step: int, metrics: Mapping[str, float]) -> None:
    """Appends the row of a step; the step must be later than that of the last row."""
    if self.rows and step <= self.rows[-1]['step']:
      raise ValueError(f'step {step} is not after the last logged one, {self.rows[-1]["step"]}')
    row = {'step': step, **metrics}
    self.rows.append(row)
    self._waiting += workdir.json_line(row)
    self._flush()
    if self._events is not None:
      try:
        for name, value in metrics.items():
          self._events.add_scalar(name, value, step)
      except OSError as error:
        _log.warning('TensorBoard events of step %d are lost: %s', step, error)

  def has(self, step: int) -> bool:
    """Whether the row of this step is written."""
    return bool(self.rows) and self.rows[-1]['step'] >= step

  def __enter__(self) -> 'Writers':
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
  ) -> None:
    self._flush()
    if self._events is not None:
      try:
        self._events.close()
      except OSError as failure:
        _log.warning('the last TensorBoard events are lost: %s', failure)

  def _flush(self) -> None:
    if not self._waiting:
      return
    try:
      with open(self._path, 'r+b') as file:
        # A write that failed half-way left a torn line: continue behind the last whole one.
        file.truncate(self._size)
        file.seek(self._size)
        file.write(self._waiting)
    except OSError as error:
      _log.warning('metrics.jsonl cannot be written now, trying again later: %s', error)
      return
    self._size += len(self._waiting)
    self._waiting = b''
