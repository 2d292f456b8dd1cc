"""Data worker processes that die neither before the run that they serve nor after it."""

import contextlib
import multiprocessing
import multiprocessing.resource_tracker
import os
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
  """Holds signals back in this thread, so that worker processes inherit it from their first moment.

  They shield themselves only once Python runs in them. Another thread takes what arrives here.
  """
  multiprocessing.resource_tracker.ensure_running()  # its start would let the signals through
  before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def shield(*_) -> None:
  """Runs in every worker process: it outlives no training run and dies before none.

  A scheduler sends SIGTERM to the whole process group; the workers must go on until the main
  process has saved and closed them. When the main process is killed, they must not stay behind.
  """
  signal.signal(signal.SIGTERM, signal.SIG_IGN)
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
  # Not prctl(PR_SET_PDEATHSIG): that kills when the thread that started the worker ends, and grain
  # starts workers from threads that end before the workers have handed their last batch back.
  multiprocessing.parent_process().join()
  os._exit(1)
