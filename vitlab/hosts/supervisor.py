"""Starts a training again when it dies: the launcher, with `--restarts`, as parent of itself.

Every process of a run has its own supervisor, on its own host. When one process dies JAX ends the
others within the heartbeat; each supervisor starts its own again, and they meet as at the first
start and go on from the newest checkpoint.

The rule: a run is started again as long as a newer checkpoint than ever before was written since
the last start, and without one at most `restarts` times in a row.

Imports no JAX: the parent is small, holds no device and cannot die of what its child dies of.
"""

import logging
import pathlib
import signal
import subprocess
import time
from collections.abc import Sequence
from types import FrameType

from vitlab import workdir

_log = logging.getLogger(__name__)

_PREEMPTED = 75
_UNREAD = 128 + signal.SIGPIPE
# Done; something to correct first; preempted: somebody wants the machine, who starts it again;
# nobody reads what is printed.
_FINAL = (0, 2, _PREEMPTED, _UNREAD)
_LONGEST_PAUSE = 30.0  # seconds


class Supervisor:
  """Tends one process of a run.

  SIGTERM and Ctrl-C are passed on as SIGTERM: the child saves, and nothing is started again.

  Args:
    command: What to run.
    folder: The workdir, whose checkpoints tell whether there was progress.
    restarts: How many of them in a row may bring no newer checkpoint.
    pause: Seconds before the first restart; doubled by each that brings no newer checkpoint.
  """

  def __init__(
    self, command: Sequence[str], folder: pathlib.Path, restarts: int, *, pause: float = 1.0
  ):
    self._command, self._folder, self._restarts, self._pause = command, folder, restarts, pause
    self._asked = False  # to stop
    self._child: subprocess.Popen | None = None

  def run(self) -> int:
    """Returns the exit code of the last child; that of a signal n is 128 + n, as in a shell."""
    for number in (signal.SIGTERM, signal.SIGINT):
      signal.signal(number, self._stop)
    newest, vain = self._newest(), 0
    while (code := self._once()) not in _FINAL and not self._asked:
      if (self._folder / workdir.RESULT).exists():
        return 0  # died when all was done
      before, newest = newest, max(newest, self._newest())
      vain = 0 if newest > before else vain + 1
      why = f'signal {-code}' if code < 0 else f'exit code {code}'
      if vain > self._restarts:
        _log.warning('ended with %s, %d times without a newer checkpoint: giving up', why, vain)
        break
      _log.warning('ended with %s: starting again after step %d', why, newest)
      time.sleep(min(self._pause * 2 ** max(vain - 1, 0), _LONGEST_PAUSE))
    # One that had no time yet to listen to the signal was simply ended by it.
    if self._asked and code == -signal.SIGTERM:
      return _PREEMPTED
    return code if code >= 0 else 128 - code

  def _once(self) -> int:
    if self._asked:  # while nothing was running
      return _PREEMPTED
    self._child = subprocess.Popen(self._command)
    if self._asked:
      self._child.terminate()
    return self._child.wait()

  def _stop(self, number: int, frame: FrameType | None) -> None:
    # Ctrl-C in a terminal reaches the child too, and the second one would end it at once.
    self._asked = True
    if self._child is not None:
      self._child.terminate()

  def _newest(self) -> int:
    """The newest checkpoint on the disk; 0 if there is none."""
    folders = (self._folder / workdir.CHECKPOINTS).glob('*')
    return max((int(path.name) for path in folders if path.name.isdecimal()), default=0)
