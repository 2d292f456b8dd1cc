"""A DETR of other classes starts from a published one: all but its head and what training adds."""

import jax
import numpy as np
import pytest
from _helpers import runs

from vitlab import pretrained, registry
from vitlab.train import init_from as start_lib
from vitlab.train import setup

ONE = jax.devices()[:1]
BACKBONE = dict(name='resnet', variant='18', width=8, depths=(1, 1), norm='frozen_batchnorm')
MODEL = dict(name='detr', variant='mu', num_queries=12, backbone=BACKBONE)


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
  """A folder of Hugging Face, of three classes."""
  folder = tmp_path_factory.mktemp('detr')
  spec = MODEL | dict(num_classes=3)
  module = registry.make('models', spec)
  image, size = np.zeros((1, 64, 64, 1), np.float32), np.full((1, 2), 64)
  tree = jax.jit(module.init)(jax.random.key(7), image, size)
  facts = dict(image=dict(image_size=(64, 64), channels=1, resize='fit'))
  about = pretrained.About.of(spec, facts, {})
  return str(pretrained.write(folder, jax.tree.map(np.asarray, tree), about, 'huggingface'))


def test_a_published_one_starts_another(weights):
  config = runs.config(duration='2 steps')
  config.data = dict(name='scattered_digits', image_size=64, train=32, test=8)
  config.model = dict(name='detr', num_classes=None, query_groups=2, denoising=1)
  config.task = dict(name='detection', mean=None, std=None)
  config.evaluators, config.checkpoint.best = {}, ''
  config.init_from = dict(path=weights, head='new')
  filled, sources = start_lib.resolve(config)
  assert (filled.model.variant, filled.model.num_queries) == ('mu', 12)
  found = setup.build(filled, ONE, sources=sources).init().variables['model']
  theirs = pretrained.read(weights)
  tensors = theirs.tensors
  params = found['params']
  np.testing.assert_array_equal(
    params['object_queries']['learned'], tensors['model.query_position_embeddings.weight']
  )
  np.testing.assert_array_equal(
    params['decoder']['block_0']['mlp']['up']['kernel'].T,
    tensors['model.decoder.layers.0.fc1.weight'],
  )
  assert params['class_head']['kernel'].shape == (16, 11)
  assert params['object_queries']['more'].shape == (1, 12, 16)
  assert np.any(found['frozen']['backbone']['stem']['norm']['scale'])
