"""Slots of this machine: who gets which devices."""

import os
import sys
import time

import pytest

from vitlab.errors import UserError
from vitlab.sweep.backends import local
from vitlab.sweep.trial import Trial

SHOW = (
  'import os; print(sorted(os.sched_getaffinity(0)), os.environ.get("CUDA_VISIBLE_DEVICES"),'
  ' os.environ.get("OMP_NUM_THREADS"))'
)


def trials(tmp_path, count, code=SHOW):
  return [
    Trial(n, {}, tmp_path / f'trial_{n}', tmp_path / 'logs' / f'{n}.txt', ['-c', code])
    for n in range(count)
  ]


def finish(jobs):
  while any(job.poll() is None for job in jobs):
    time.sleep(0.01)
  return [job.poll() for job in jobs]


def test_cores_are_shared_equally(tmp_path):
  cores = sorted(os.sched_getaffinity(0))
  given = trials(tmp_path, 3)
  place = local.Local(2, [])
  jobs = place.start(given)
  assert len(jobs) == 2  # no more than there are slots
  assert finish(jobs) == [0, 0]
  jobs = place.start(given[2:])
  assert finish(jobs) == [0]
  share = max(1, len(cores) // 2)
  seen = []
  for trial in given:
    command, shown = trial.log.read_text().splitlines()
    assert command == f'$ {trial.shown_command}'
    assert shown.endswith(f'] None {share}')
    seen.append(shown)
  assert seen[0] != seen[1] or len(cores) == 1
  assert seen[2] in seen[:2]  # a slot that was free again


def test_a_gpu_each(tmp_path, monkeypatch):
  monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
  given = trials(tmp_path, 2)
  jobs = local.Local(2, ['0', 'GPU-7']).start(given)
  assert finish(jobs) == [0, 0]
  shown = [trial.log.read_text().splitlines()[-1].rpartition('] ')[2] for trial in given]
  assert shown == ['0 None', 'GPU-7 None']
  with pytest.raises(UserError, match='--slots=3, but 2 GPUs'):
    local.Local(3, ['0', '1'])


def test_gpus_are_found_without_starting_jax(monkeypatch):
  monkeypatch.setattr(local.glob, 'glob', lambda pattern: ['/dev/nvidia0', '/dev/nvidia1'])
  assert local.visible_gpus({}) == ['0', '1']
  assert local.visible_gpus({'CUDA_VISIBLE_DEVICES': '3,GPU-5'}) == ['3', 'GPU-5']
  assert local.visible_gpus({'CUDA_VISIBLE_DEVICES': ''}) == []
  assert local.visible_gpus({'JAX_PLATFORMS': 'cpu'}) == []
  monkeypatch.setattr(local.glob, 'glob', lambda pattern: [])
  assert local.visible_gpus({}) == []
  assert local.make(0).slots == 1


def test_a_job_that_is_stopped_gets_sigterm(tmp_path):
  code = (
    'import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(75));'
    ' print("ready"); time.sleep(60)'
  )
  (trial,) = trials(tmp_path, 1, code)
  (job,) = local.Local(1, []).start([trial])
  while 'ready' not in trial.log.read_text().splitlines():
    assert job.poll() is None
    time.sleep(0.01)
  job.stop()
  assert finish([job]) == [75]
  assert sys.executable not in trial.log.read_text()
