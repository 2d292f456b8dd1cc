"""Where the time of a run went, over all its sessions."""

import contextlib
import time
from collections.abc import Iterator, Mapping

from vitlab.workdir.events import Events


class Clock:
  """Counts the seconds of a run, and those in which it trained.

  Args:
    stored: `totals()` as they were at the step that this session continues.
    started: `time.perf_counter()` when this session began.
    events: Where every duration is written too.

  Attributes:
    goodput: The share of the time from the first start of the run to its `end`, with the gaps
      between its sessions, that went into steps that counted: not compiled, waited, evaluated,
      saved, or done again later. None until the end.
  """

  def __init__(
    self,
    stored: Mapping[str, float] | None = None,
    started: float | None = None,
    events: Events | None = None,
  ):
    self._totals = dict(seconds=0.0, training=0.0, waited=0.0, examples=0) | dict(stored or {})
    self._window = self._told = dict(self._totals)  # when the last one ended; was written
    self._started = time.perf_counter() if started is None else started
    self._events = events or Events(None)
    self._mark: float | None = None  # up to here training is counted
    self.goodput: float | None = None

  def session(self) -> float:
    """Seconds since this session began."""
    return time.perf_counter() - self._started

  def totals(self) -> dict[str, float]:
    """seconds of all sessions; of them, up to the last window or pause, training, waited for data;
    examples trained on meanwhile."""
    return self._totals | {'seconds': self._totals['seconds'] + self.session()}

  def end(self, step: int) -> None:
    """Ends the run: what is done after it no longer counts."""
    totals, now = self.totals(), time.time()
    # The run may be older than its events.
    elapsed = max(now - self._events.first, totals['seconds'])
    self.goodput = (totals['training'] - totals['waited']) / elapsed
    self._events.add('end', step, goodput=self.goodput)

  def begin(self) -> None:
    """Starts to count training; called after the first step, which compiles."""
    self._mark = time.perf_counter()

  @property
  def running(self) -> bool:
    """Whether training is being counted."""
    return self._mark is not None

  def count(self, examples: int, waited: float) -> None:
    """Counts a step: its examples, and the seconds in which the devices waited for them."""
    self._totals['examples'] += examples
    self._totals['waited'] += waited

  @contextlib.contextmanager
  def spending(self, what: str, step: int) -> Iterator[None]:
    """Seconds that are not training: 'compile', 'evaluate', 'save' at a step."""
    self._lap(step)
    start = time.perf_counter()
    try:
      yield
    finally:
      end = time.perf_counter()
      self._events.add(what, step, seconds=end - start)
      if self._mark is not None:
        self._mark = end

  def window(self, step: int) -> dict[str, float]:
    """Ends a window: its examples per second and the share of its time spent waiting for data;
    empty if it had no step."""
    self._lap(step)
    spent = {name: x - self._window[name] for name, x in self._totals.items() if name != 'seconds'}
    self._window = dict(self._totals)
    return speed(**spent) if spent['examples'] else {}

  def _lap(self, step: int) -> None:
    """Counts the training up to now: the time since the last lap, if it held a step."""
    if self._mark is None:
      return
    now = time.perf_counter()
    # Without a step it went into rows and details. Counted as training it would be told with the
    # next step, which a kill may take away while a checkpoint between the two has counted it.
    if self._totals['examples'] > self._told['examples']:
      self._totals['training'] += now - self._mark
      seconds, waited = (self._totals[name] - self._told[name] for name in ('training', 'waited'))
      self._events.add('train', step, seconds=seconds, waited=waited)
      self._told = dict(self._totals)
    self._mark = now


def speed(training: float, waited: float, examples: int) -> dict[str, float]:
  """examples_per_second and data_wait of some seconds of training; empty for none."""
  if not training:
    return {}
  return dict(examples_per_second=examples / training, data_wait=waited / training)
