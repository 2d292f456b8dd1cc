"""How a run is asked to stop, and how it answers: save, then exit with code 75.

75 is EX_TEMPFAIL of <sysexits.h>: not finished, nothing wrong, the same command continues.
"""

import signal
import threading
from types import FrameType

import jax
from jax.experimental import multihost_utils

EXIT_CODE = 75


class Preempted(SystemExit):
  """The run has saved its state and ends with `EXIT_CODE`; the same command continues it."""

  def __init__(self, message: str):
    super().__init__(EXIT_CODE)
    self.message = message

  def __str__(self) -> str:
    return self.message


class StopSignal:
  """Whether this run was asked to stop; a context manager.

  One process: SIGTERM, or Ctrl-C (a second one ends at once). Several: SIGTERM to any of them;
  JAX's coordination service lets all stop at the same step, a few later. It listens to SIGTERM
  itself from `jax.distributed.initialize` on, and a Python handler would silence it.
  """

  def __init__(self):
    self._asked = False
    self._before = {}

  def __enter__(self) -> 'StopSignal':
    # Only the main thread may handle signals, and only it receives Ctrl-C.
    if jax.process_count() == 1 and threading.current_thread() is threading.main_thread():
      for number in (signal.SIGTERM, signal.SIGINT):
        self._before[number] = signal.signal(number, self._handle)
    return self

  def __exit__(self, *_: object) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)
    self._before = {}

  def asked(self) -> bool:
    """In one process: whether to stop as soon as possible. False in several: they ask `at_step`."""
    return self._asked

  def at_step(self, step: int) -> bool:
    """Whether to stop at this step: the same answer in every process, all of which must ask."""
    if jax.process_count() > 1:
      return multihost_utils.reached_preemption_sync_point(step)
    return self._asked

  def _handle(self, number: int, frame: FrameType | None) -> None:
    # Nothing is printed here: the handler may interrupt a print, which cannot be entered twice.
    self._asked = True
    if number == signal.SIGINT:
      signal.signal(signal.SIGINT, signal.default_int_handler)
