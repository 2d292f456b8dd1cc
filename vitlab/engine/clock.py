"""Where the time of a run went, over all its sessions."""

import contextlib
import time
from collections.abc import Iterator, Mapping


class Clock:
  """Counts the seconds of a run, and those in which it trained.

  Args:
    stored: `totals()` of the session before.
    started: `time.perf_counter()` when this session began.
  """

  def __init__(self, stored: Mapping[str, float] | None = None, started: float | None = None):
    zeros = dict(seconds=0.0, training=0.0, waited=0.0, examples=0)
    self._totals = zeros | dict(stored or {})
    self._started = time.perf_counter() if started is None else started
    self._mark: float | None = None  # start of the window, moved forward by pauses

  def session(self) -> float:
    """Seconds since this session began."""
    return time.perf_counter() - self._started

  def totals(self) -> dict[str, float]:
    """seconds of all sessions; of them training, waited for data; examples trained on meanwhile."""
    return self._totals | {'seconds': self._totals['seconds'] + self.session()}

  def begin(self) -> None:
    """Starts to count training; called after the first step, which compiles."""
    self._mark = time.perf_counter()

  @property
  def running(self) -> bool:
    """Whether training is being counted."""
    return self._mark is not None

  @contextlib.contextmanager
  def paused(self) -> Iterator[None]:
    """Seconds that are not training: evaluation, saving."""
    start = time.perf_counter()
    try:
      yield
    finally:
      if self._mark is not None:
        self._mark += time.perf_counter() - start

  def window(self, examples: int, waited: float) -> dict[str, float]:
    """Ends a window: its examples per second and the share of its time spent waiting for data."""
    now = time.perf_counter()
    spent = max(now - self._mark, 1e-9)
    self._mark = now
    for name, amount in (('training', spent), ('waited', waited), ('examples', examples)):
      self._totals[name] += amount
    return speed(spent, waited, examples)


def speed(training: float, waited: float, examples: int) -> dict[str, float]:
  """examples_per_second and data_wait of some seconds of training; empty for none."""
  if not training:
    return {}
  return dict(examples_per_second=examples / training, data_wait=waited / training)
