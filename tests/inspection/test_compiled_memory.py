"""The memory that `inspect` plans on a CPU is what the training of a real process then holds."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = """
import pathlib, sys, launch
launch.main(sys.argv[1:])
peak = next(x for x in pathlib.Path('/proc/self/status').read_text().splitlines() if 'VmHWM' in x)
print('peak', 1024 * int(peak.split()[1]))
"""


def _run(*flags):
  environ = {k: x for k, x in os.environ.items() if k != 'XLA_FLAGS'}
  return subprocess.run(
    [sys.executable, '-c', PROGRAM, *flags],
    cwd=ROOT,
    env=environ | {'JAX_PLATFORMS': 'cpu', 'JAX_NUM_CPU_DEVICES': '1', 'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
    timeout=300,
    check=True,
  ).stdout


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
@pytest.mark.parametrize('batch_size', [700, 1200])
def test_planned_and_measured_memory_agree(tmp_path, batch_size):
  flags = ['--config=configs/vit_digits.py:smoke', f'--compile_cache={ROOT / ".jax_cache"}']
  changes = ['duration=4 steps', 'model.variant=Ti/1', 'model.width=64']
  changes += [f'batch_size={batch_size}', 'evaluators.test.every=4 steps']
  flags += [f'--config.{change}' for change in changes]
  _run('--mode=inspect', f'--output={tmp_path / "plan.json"}', *flags)
  memory = json.loads((tmp_path / 'plan.json').read_text())['memory']
  measured = int(_run(f'--workdir={tmp_path / "run"}', *flags).split()[-1])
  # More than one block of temporaries at a time would be half as much again.
  assert memory['temporaries'] > 0.4 * measured
  assert memory['peak'] == pytest.approx(measured, rel=0.15)
