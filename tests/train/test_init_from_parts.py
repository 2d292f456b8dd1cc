"""A part of a model starts from weights: the backbone of a hybrid, or of a detector."""

import jax
import numpy as np
import pytest
from _helpers import runs

from vitlab.errors import UserError
from vitlab.train import init_from as start_lib
from vitlab.train import setup
from vitlab.train.run import train

ONE = jax.devices()[:1]
RESNET = dict(name='resnet', variant='mu', stem='small')
HYBRID = dict(name='vit', variant='mu/4', num_classes=None)


@pytest.fixture(scope='module')
def resnet(tmp_path_factory):
  """The workdir of a run of a few steps."""
  folder = tmp_path_factory.mktemp('resnet') / 'run'
  config = runs.config(duration='3 steps', checkpoint__every='100%')
  config.model = RESNET | dict(num_classes=None)
  train(config, str(folder), devices=ONE)
  return str(folder)


def start(init_from, **backbone):
  config = runs.config(duration='2 steps')
  config.model = HYBRID | dict(backbone=dict(name='resnet') | backbone)
  config.init_from = init_from
  filled, sources = start_lib.resolve(config)
  return filled, setup.build(filled, ONE, sources=sources).init().variables['model']


def trained(resnet):
  from vitlab.workdir import model, stored_config

  return model.load(resnet, stored_config(resnet))[2]['model']


@pytest.mark.parametrize('norm', ['batchnorm', 'frozen_batchnorm'])
def test_a_backbone_starts_as_it_was_trained_and_the_rest_as_it_would(resnet, norm):
  filled, found = start({'model/backbone': resnet}, norm=norm)
  assert (filled.model.backbone.variant, filled.model.backbone.stem) == ('mu', 'small')
  new = start(None, **RESNET, norm=norm)[1]
  np.testing.assert_array_equal(found['params']['head']['kernel'], new['params']['head']['kernel'])
  learned = trained(resnet)
  assert 'head' in learned['params'] and 'head' not in found['params']['backbone']
  for path in (('stage_0', 'block_0', 'conv1', 'kernel'), ('stem', 'conv', 'kernel')):
    ours, theirs = found['params']['backbone'], learned['params']
    for name in path:
      ours, theirs = ours[name], theirs[name]
    np.testing.assert_array_equal(ours, theirs)
  mean = lambda tree: tree['stem']['norm']['mean']  # noqa: E731
  kept = found['frozen' if norm == 'frozen_batchnorm' else 'batch_stats']['backbone']
  np.testing.assert_array_equal(mean(kept), mean(learned['batch_stats']))
  assert np.any(np.asarray(mean(kept)))


def test_a_part_that_there_is_not_is_named(resnet):
  with pytest.raises(UserError, match="'model/neck'.*possible are model/backbone"):
    start({'model/neck': resnet}, **RESNET)


def test_a_backbone_of_another_size_is_refused(resnet):
  with pytest.raises(UserError, match="config.model.backbone contradicts.*variant='18'"):
    start({'model/backbone': resnet}, variant='18')
