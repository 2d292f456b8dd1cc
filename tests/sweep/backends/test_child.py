"""What a process settles before it becomes the trial."""

import os
import subprocess
import sys

from vitlab.sweep.backends import _child

CORE = min(os.sched_getaffinity(0))


def start(controller, *command):
  program = [sys.executable, '-S', _child.__file__, str(controller), str(CORE), *command]
  return subprocess.run(program, capture_output=True, text=True)


def test_it_becomes_the_command_on_its_cores():
  code = 'import os, sys; print(os.sched_getaffinity(0), sys.argv[1])'
  done = start(os.getpid(), sys.executable, '-c', code, 'x y')
  assert (done.returncode, done.stdout) == (0, f'{{{CORE}}} x y\n')


def test_it_does_not_begin_without_its_controller():
  done = start(os.getpid() + 1, sys.executable, '-c', 'print("begun")')
  assert (done.returncode, done.stdout) == (75, '')
