"""Becomes a trial: python _child.py <pid of the controller> <cores> <command> ...

Its cores must be its own before anything counts them, and it must be told when the controller dies,
which only the process itself can ask for. A program of its own, not a `preexec_fn`: nothing may run
between fork and exec where other threads may hold a lock.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(arguments: Sequence[str]) -> None:
  controller, cores, *command = arguments
  os.sched_setaffinity(0, map(int, cores.split(',')))
  ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
  if os.getppid() != int(controller):  # it has died before we asked
    sys.exit(os.EX_TEMPFAIL)
  os.execv(command[0], command)


if __name__ == '__main__':
  main(sys.argv[1:])
