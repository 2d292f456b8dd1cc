"""A sweep as people run it: two real trainings through the launcher, and the same command again."""

import json
import os
import subprocess
import sys

from _helpers import sweeps


def test_a_sweep_of_two_trainings(tmp_path):
  file = sweeps.write(tmp_path, "for p in together({'optim.learning_rate': [1e-3, 5e-3]}): add(p)")
  command = [sys.executable, 'launch.py', '--mode=sweep', '--config=configs/vit_digits.py:smoke']
  command += [f'--sweep={file}', '--slots=2', f'--workdir={tmp_path}/sweep']
  command += [f'--compile_cache={sweeps.ROOT}/.jax_cache', '--config.duration=20 steps']
  for _ in range(2):
    done = subprocess.run(
      command,
      cwd=sweeps.ROOT,
      env=os.environ | {'JAX_PLATFORMS': 'cpu'},
      capture_output=True,
      text=True,
      timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith('done: best test/accuracy ') and '/trial_00' in last
    assert 'failed' not in done.stdout + done.stderr
  rows = sweeps.rows(tmp_path / 'sweep')
  assert [(row['state'], row['steps'], row['attempts']) for row in rows] == [
    ('finished', 20, 1)
  ] * 2
  for row in rows:
    workdir = tmp_path / 'sweep' / f'trial_{row["trial"]:03}'
    config = json.loads((workdir / 'config.json').read_text())
    assert config['optim']['learning_rate'] == row['point']['optim.learning_rate']
    result = json.loads((workdir / 'result.json').read_text())
    assert row['value'] == result['metrics']['test/accuracy']
    log = (tmp_path / 'sweep' / 'logs' / f'{workdir.name}.txt').read_text()
    assert log.count(f'$ {row["command"]}') == 1  # the second command started nothing
