"""Jobs of submitit: its local executor, and a SLURM of which only the programs are fake."""

import os
import subprocess
import time

import pytest
from _helpers import fake_slurm, sweeps

from vitlab.errors import UserError
from vitlab.sweep import backends
from vitlab.sweep.backends import slurm

# A stub imports nothing, submitit does.
STUB = dict(steps=10, seconds=0.02)


@pytest.fixture(autouse=True)
def cluster(tmp_path, monkeypatch):
  monkeypatch.setenv('PYTHONPATH', os.environ.get('PYTHONPATH', ''))  # which is changed
  programs = fake_slurm.install(tmp_path / 'cluster')
  monkeypatch.setenv('PATH', f'{programs}:{os.environ["PATH"]}')
  return tmp_path / 'cluster'


@pytest.fixture
def file(tmp_path):
  return sweeps.write(tmp_path, 'for p in seeds(3): add(p)')


def wait_for(path, process=None):
  deadline = time.monotonic() + 60
  while not path.exists():
    assert time.monotonic() < deadline
    assert process is None or process.poll() is None, process.communicate()
    time.sleep(0.02)


def test_submitits_local_executor_runs_a_sweep(file, tmp_path):
  folder = tmp_path / 'sweep'
  stub = dict(codes={'1': [1], '2': [75]})
  assert sweeps.run(file, folder, stub, backend='slurm,cluster=local', slots=2) == 0
  rows = sweeps.rows(folder)
  assert [(row['state'], row['attempts']) for row in rows] == [
    ('finished', 1), ('finished', 2), ('finished', 1)
  ]  # fmt: skip
  assert sorted(sweeps.starts(folder)) == [f'trial_{n:03}' for n in (0, 1, 1, 2, 2)]


def test_trials_are_one_array_with_its_options(file, tmp_path, cluster):
  folder = tmp_path / 'sweep'
  backend = 'slurm,slurm_partition=gpu,gpus_per_node=2,timeout_min=30'
  assert sweeps.run(file, folder, STUB, backend=backend) == 0
  assert {row['state'] for row in sweeps.rows(folder)} == {'finished'}
  (script,) = cluster.glob('submitted*')
  for line in ('--array=0-2%3', '--partition=gpu', '--gpus-per-node=2', '--time=30'):
    assert f'#SBATCH {line}\n' in script.read_text()


def test_a_job_that_must_leave_saves_and_goes_back_into_the_queue(tmp_path, cluster):
  folder = tmp_path / 'sweep'
  file = sweeps.write(tmp_path, "add({'seed': 0})")
  process = sweeps.start(file, folder, dict(steps=60, seconds=0.05), backend='slurm')
  wait_for(folder / 'trial_000' / 'metrics.jsonl', process)
  subprocess.run(['scancel', '100', '--signal', 'USR2'], check=True)
  said, _ = process.communicate(timeout=60)
  assert process.returncode == 0, said
  assert (cluster / 'requeued').read_text() == '100\n'
  (row,) = sweeps.rows(folder)
  assert (row['state'], row['attempts'], row['steps']) == ('finished', 1, 60)
  assert sweeps.starts(folder) == ['trial_000'] * 2
  assert len(list(cluster.glob('submitted*'))) == 1


def test_jobs_outlive_a_killed_controller_and_are_found(file, tmp_path, cluster):
  folder = tmp_path / 'sweep'
  stub = dict(steps=60, seconds=0.05)
  process = sweeps.start(file, folder, stub, backend='slurm')
  for number in range(3):
    wait_for(folder / f'trial_{number:03}' / 'metrics.jsonl', process)
  process.kill()
  process.communicate()
  process = sweeps.start(file, folder, stub, backend='slurm')
  said, _ = process.communicate(timeout=60)
  assert process.returncode == 0, said
  assert sorted(sweeps.starts(folder)) == [f'trial_{n:03}' for n in range(3)]
  assert len(list(cluster.glob('submitted*'))) == 1


def test_a_sweep_that_is_stopped_cancels_its_jobs(file, tmp_path, cluster):
  folder = tmp_path / 'sweep'
  process = sweeps.start(file, folder, dict(steps=400, seconds=0.05), backend='slurm')
  for number in range(3):
    wait_for(folder / f'trial_{number:03}' / 'metrics.jsonl', process)
  process.terminate()
  said, _ = process.communicate(timeout=60)
  assert process.returncode == 75, said
  assert {row['state'] for row in sweeps.rows(folder)} == {'waiting'}


def test_without_slurm_it_is_said(tmp_path, monkeypatch):
  monkeypatch.setattr(slurm.shutil, 'which', lambda name: None)
  with pytest.raises(UserError, match='srun is not found'):
    backends.make('slurm', tmp_path / 'sweep', 0, 1)
  with pytest.raises(UserError, match='slurm'):
    backends.make('slurm,cluster=local,bogus=1', tmp_path / 'sweep', 0, 1)
  assert not (tmp_path / 'sweep').exists()
