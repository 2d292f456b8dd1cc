"""The promise to whoever gets something wrong: a short answer, soon, with exit code 2."""

import time

import launch


def refused(capsys, arguments, named, workdir=None):
  """Runs a command line and holds the answer to the promise."""
  start = time.process_time()
  code = launch.main(arguments)
  assert time.process_time() - start < 5
  complaint = capsys.readouterr().err
  assert code == 2
  assert named in complaint
  assert 1 <= len(complaint.splitlines()) <= 3
  assert 'Traceback' not in complaint
  assert workdir is None or not workdir.exists(), 'a half-made workdir'
