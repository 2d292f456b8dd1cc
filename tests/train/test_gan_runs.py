"""Runs of two players: stopped and resumed, on eight devices and in two processes; judged."""

import jax
import numpy as np
import pytest
from _helpers import runs, two_processes

from vitlab import names
from vitlab.cli import config_file
from vitlab.errors import UserError
from vitlab.hosts import preemption
from vitlab.hosts.preemption import Preempted
from vitlab.train import run as engine
from vitlab.workdir.checkpoint import Checkpoints

CONFIG = 'configs/sagan_digits.py:smoke'
# The plain hinge: slopes take long to compile, and the engine sees nothing of them.
SHORT = [
  '--config.duration=4 steps',
  '--config.log_every=1 steps',
  '--config.checkpoint.every=2 steps',
  '--config.evaluators.test.every=4 steps',
  '--config.task.loss=hinge',
  '--config.task.r1=0.0',
  '--config.task.r2=0.0',
  '--config.optim.generator.every=2',
  # Before a norm a bias has no gradient but rounding, of which Adam would make a step.
  '--config.optim.generator.eps=0.01',
  '--config.optim.discriminator.eps=0.01',
]
ONE = jax.devices()[:1]


def train(folder, devices=ONE, spec=CONFIG, changes=SHORT, **mesh):
  config = config_file.load(spec)
  config_file.override(config, changes)
  for axis, size in mesh.items():
    config.mesh[axis] = size
  return engine.train(config, str(folder), devices=devices)


@pytest.fixture(scope='module')
def alone(tmp_path_factory):
  """The workdir of a run on one device."""
  folder = tmp_path_factory.mktemp('alone') / 'run'
  train(folder)
  return folder


def variables(folder, step=-1):
  checkpoints = Checkpoints(folder / 'checkpoints', read_only=True)
  found = checkpoints.restore_arrays(('variables',), checkpoints.steps()[step])
  return {name: np.asarray(x) for name, x in names.flatten(found.state['variables']).items()}


def close(folder, other):
  """Whether two runs did the same but for the order of sums."""
  for one, two in zip(runs.rows(folder), runs.rows(other), strict=True):
    learned = {key: value for key, value in one.items() if key.startswith('train/')}
    assert learned
    assert {key: two[key] for key in learned} == pytest.approx(learned, rel=2e-3, abs=2e-3)
  one, two = variables(folder), variables(other)
  assert one.keys() == two.keys()
  for name, array in one.items():
    np.testing.assert_allclose(two[name], array, atol=5e-3, err_msg=name)


def test_a_run_has_the_numbers_of_both_players_and_of_the_samples(alone):
  rows = runs.rows(alone)
  learned = {f'discriminator_{name}' for name in ('loss', 'real', 'fake')} | {'generator_loss'}
  assert {f'train/{name}' for name in learned} < rows[0].keys()
  assert {'test/frechet', 'test/frechet_floor', 'test/kid'} <= rows[-1].keys()


def test_a_run_that_was_stopped_ends_in_the_same_bits(alone, tmp_path, monkeypatch):
  monkeypatch.setattr(preemption.StopSignal, 'at_step', lambda self, now: now >= 3)
  with pytest.raises(Preempted):
    train(tmp_path / 'run')
  monkeypatch.undo()
  train(tmp_path / 'run')
  assert runs.rows(tmp_path / 'run') == runs.rows(alone)
  one, two = variables(tmp_path / 'run'), variables(alone)
  assert any('/spectral/' in f'/{key}' for key in one)
  for key, array in one.items():
    np.testing.assert_array_equal(two[key], array, err_msg=key)


def test_eight_devices_do_what_one_does(alone, tmp_path):
  train(tmp_path / 'many', jax.devices()[:8], data=2, fsdp=2, model=2)
  close(alone, tmp_path / 'many')


def test_two_processes_do_what_one_does(alone, tmp_path):
  flags = [f'--config={CONFIG}', *SHORT, f'--workdir={tmp_path / "two"}']
  codes, complaints, _ = two_processes.launch([flags, flags])
  assert codes == [0, 0], complaints
  close(alone, tmp_path / 'two')


def test_samples_are_looked_at_through_a_classifier_that_stays_as_it_is(tmp_path):
  classifier, folder = tmp_path / 'classifier', tmp_path / 'run'
  train(classifier, spec='configs/vit_digits.py:smoke', changes=['--config.duration=2 steps'])
  result = train(folder, spec=f'{CONFIG},encoder={classifier}')
  assert 0 <= result['metrics']['test/recognised'] <= 1
  loaded, kept = variables(classifier), variables(folder)
  of_encoder = {name for name in kept if name.startswith('encoder/')}
  assert len(of_encoder) == len(loaded)
  for name in of_encoder:
    np.testing.assert_array_equal(kept[name], loaded[name.replace('encoder/', 'model/', 1)])
  # It says how its pictures are prepared, and needs weights to have learned anything.
  stored = config_file.load(CONFIG)
  with stored.unlocked():
    stored.task.encoder = dict(name='vit', variant='mu/2', num_classes=None)
  with pytest.raises(UserError, match='the encoder does not learn and has no weights'):
    engine.train(stored, str(tmp_path / 'none'), devices=ONE)
