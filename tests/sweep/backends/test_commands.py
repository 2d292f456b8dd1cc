"""Lines for a shell: each starts one trial that has not finished."""

import shlex
import subprocess
import sys

from _helpers import sweeps


def printed(capsys, file, folder, backend, **options):
  assert sweeps.run(file, folder, backend=backend, **options) == 0
  return capsys.readouterr().out.splitlines()


def test_the_lines_run_the_sweep(tmp_path, capsys):
  folder = tmp_path / 'sweep'
  file = sweeps.write(tmp_path, "for p in product({'optim.name': ['a b', \"c'd\"]}): add(p)")
  lines = printed(capsys, file, folder, 'commands')
  assert len(lines) == 2
  for line in lines[:1]:
    command = line.replace('python', shlex.quote(sys.executable), 1)
    subprocess.run(command, shell=True, check=True, cwd=sweeps.ROOT)
  # What has finished is not printed again, and is known.
  assert printed(capsys, file, folder, 'commands') == lines[1:]
  assert [row['state'] for row in sweeps.rows(folder)] == ['finished', 'waiting']
