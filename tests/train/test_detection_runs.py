"""Runs of detectors: stopped and resumed, on eight devices and in two processes."""

import functools

import jax
import numpy as np
import pytest
from _helpers import runs, two_processes

from vitlab import names
from vitlab.cli import config_file
from vitlab.hosts import preemption
from vitlab.hosts.preemption import Preempted
from vitlab.train import run as engine
from vitlab.workdir.checkpoint import Checkpoints

SHORT = [
  '--config.duration=4 steps',
  '--config.log_every=1 steps',
  '--config.checkpoint.every=2 steps',
  '--config.evaluators.test.every=4 steps',
]
detectors = pytest.mark.parametrize('name', ['detr', 'yolo', 'faster_rcnn'])


def config(name, *changes):
  found = config_file.load(f'configs/{name}_digits.py:smoke')
  config_file.override(found, [*SHORT, *changes])
  return found


def train(name, folder, devices, **mesh):
  """A short run, on a mesh."""
  wanted = config(name)
  for axis, size in mesh.items():
    wanted.mesh[axis] = size
  engine.train(wanted, str(folder), devices=devices)


@pytest.fixture(scope='module')
def alone(tmp_path_factory):
  """name -> the workdir of a run on one device, trained once."""
  folder = tmp_path_factory.mktemp('alone')

  @functools.cache
  def of(name):
    train(name, folder / name, jax.devices()[:1])
    return folder / name

  return of


def variables(folder):
  checkpoints = Checkpoints(folder / 'checkpoints', read_only=True)
  found = checkpoints.restore_arrays(('variables',), checkpoints.steps()[-1])
  return {name: np.asarray(x) for name, x in names.flatten(found.state['variables']).items()}


def close(folder, other, metrics=1e-3):
  """Whether two runs did the same but for the order of sums."""
  for one, two in zip(runs.rows(folder), runs.rows(other), strict=True):
    learned = {key: value for key, value in one.items() if key.startswith('train/')}
    assert {key: two[key] for key in learned} == pytest.approx(learned, rel=metrics, abs=metrics)
  one, two = variables(folder), variables(other)
  assert one.keys() == two.keys()
  for name, array in one.items():
    np.testing.assert_allclose(two[name], array, atol=5e-3, err_msg=name)


@detectors
def test_a_run_that_was_stopped_ends_in_the_same_bits(name, alone, tmp_path, monkeypatch):
  monkeypatch.setattr(preemption.StopSignal, 'at_step', lambda self, now: now >= 3)
  with pytest.raises(Preempted):
    train(name, tmp_path / 'run', jax.devices()[:1])
  monkeypatch.undo()
  train(name, tmp_path / 'run', jax.devices()[:1])
  assert runs.rows(tmp_path / 'run') == runs.rows(alone(name))
  one, two = variables(tmp_path / 'run'), variables(alone(name))
  for key, array in one.items():
    np.testing.assert_array_equal(two[key], array, err_msg=key)


@detectors
def test_eight_devices_do_what_one_does(name, alone, tmp_path):
  train(name, tmp_path / 'many', jax.devices()[:8], data=2, fsdp=2, model=2)
  close(alone(name), tmp_path / 'many')


def test_two_processes_do_what_one_does(alone, tmp_path):
  """Of one detector: what processes do apart, the reading of boxes, knows no model."""
  flags = ['--config=configs/detr_digits.py:smoke', *SHORT, f'--workdir={tmp_path / "two"}']
  codes, complaints, _ = two_processes.launch([flags, flags])
  assert codes == [0, 0], complaints
  close(alone('detr'), tmp_path / 'two')
