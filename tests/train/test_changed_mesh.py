"""A run goes on over other devices: what one mesh has saved, another continues."""

import jax
import numpy as np
import pytest
from _helpers import runs, text

from vitlab import names
from vitlab.hosts import preemption
from vitlab.hosts.preemption import Preempted
from vitlab.train import setup
from vitlab.train.run import train
from vitlab.workdir.checkpoint import Checkpoints

ONE, EIGHT = jax.devices()[:1], jax.devices()
SPLIT = dict(data=2, fsdp=2, model=2)
# Patches of one pixel: a shifted window, and a second stage behind a merging.
SWIN = dict(
  name='swin',
  variant='T',
  patch_size=1,
  width=8,
  depths=(2, 1),
  num_heads=(2, 2),
  window_size=4,
  num_classes=None,
  drop_path_rate=0.1,
)
RESNET = dict(name='resnet', variant='mu', stem='small', num_classes=None)
# Two layers, loops over tokens inside the step, and sentences of unequal length.
SENTENCES = dict(
  data=dict(name='reverse', max_length=6, train=200, test=40),
  task=dict(name='translation'),
)
TEXT = text.spec('', lengths=(20, 64))  # batches of two shapes; where it lies is set below
RNN = dict(name='rnn_seq2seq', width=8, depth=2, attention='additive', dropout_rate=0.1)
TRANSFORMER = dict(name='transformer', variant='mu', depth=1)
FAMILIES = dict(
  swin=dict(model=SWIN),
  resnet=dict(model=RESNET),
  rnn=dict(model=RNN | dict(vocab_size=None), **SENTENCES),
  # Keys' biases change nothing: of the rounding in their gradients Adam would make whole steps.
  transformer=dict(
    model=TRANSFORMER | dict(vocab_size=None), optim__name='sgd', **SENTENCES | dict(data=TEXT)
  ),
)
# A memory that goes from step to step, and from mesh to mesh.
LANES = dict(name='text', path='sonnets:', context=10, order='lanes')
FAMILIES |= dict(
  transformer_xl=dict(
    model=dict(name='transformer_xl', variant='mu', vocab_size=None, context=10, memory_length=8),
    data=LANES,
    task=dict(name='language_model'),
    optim__name='sgd',
  )
)
SHORT = dict(duration='4 steps', log_every='1 steps', evaluators={}, checkpoint__best='')


def _config(folder, family, mesh):
  config = runs.config(**FAMILIES[family], mesh=mesh, optim__learning_rate=1e-3, **SHORT)
  if config.data.name == 'parallel':
    config.data.path = text.write(folder.parent / 'text', train=64, test=20)
  return config


@pytest.fixture
def build_once(monkeypatch):
  """Sessions on the same devices share what is traced and compiled; the state is restored anew."""
  build, built = setup.build, {}

  def once(config, devices, **options):
    if len(devices) not in built:
      built[len(devices)] = build(config, devices, **options)
    return built[len(devices)]

  monkeypatch.setattr(setup, 'build', once)


def _train(folder, family, devices):
  mesh = SPLIT if len(devices) == 8 else {}
  return train(_config(folder, family, mesh), str(folder), devices=devices)


def _saved(folder, family):
  """The arrays of the newest checkpoint, by name."""
  abstract = setup.build(_config(folder, family, {}), ONE).abstract_state
  restored = Checkpoints(folder / 'checkpoints', read_only=True).restore(abstract)
  return {name: np.asarray(x) for name, x in names.flatten(restored.state.variables).items()}


@pytest.mark.usefixtures('build_once')
@pytest.mark.parametrize('family', FAMILIES)
def test_saved_on_one_mesh_continued_on_another(tmp_path, monkeypatch, family):
  """From one device to eight and back, and it is the run of one device."""
  whole, moved = tmp_path / 'whole', tmp_path / 'moved'
  _train(whole, family, ONE)
  for step, devices in ((1, ONE), (3, EIGHT)):
    with monkeypatch.context() as patch, pytest.raises(Preempted):
      patch.setattr(preemption.StopSignal, 'at_step', lambda self, now, at=step: now >= at)
      _train(moved, family, devices)
  _train(moved, family, ONE)
  for row, wanted in zip(runs.rows(moved), runs.rows(whole), strict=True):
    assert row['train/loss'] == pytest.approx(wanted['train/loss'], rel=1e-4)
  wanted, found = _saved(whole, family), _saved(moved, family)
  assert found.keys() == wanted.keys()
  assert any('stats' in name for name in found) == (family == 'resnet')
  for name, array in wanted.items():
    np.testing.assert_allclose(found[name], array, rtol=1e-3, atol=2e-5, err_msg=name)
