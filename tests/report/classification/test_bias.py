"""Pictures of relative position bias are of what the model adds to its logits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from vitlab import registry
from vitlab.layers import window_attention
from vitlab.layers.stack import stack_blocks
from vitlab.predict.trained import Trained
from vitlab.report.classification import bias

IMAGE = jax.ShapeDtypeStruct((1, 8, 8, 1), np.float32)
SPEC = dict(patch_size=1, depths=(1, 11), num_heads=(2, 4), window_size=3)


def trained(params, **spec):
  config = ConfigDict({'model': spec})
  return Trained('', 0, config, {}, None, {'model': {'params': params}})


def random_params(**spec):
  model = registry.make('models', dict(name='swin', **SPEC, **spec))
  shapes = jax.eval_shape(model.init, jax.random.key(0), IMAGE)['params']
  random = np.random.default_rng(0)
  return jax.tree.map(lambda x: jnp.asarray(random.normal(0, 0.3, x.shape), x.dtype), shapes)


def test_the_tables_of_swin_come_in_the_order_of_its_blocks():
  params = random_params(variant='mu')
  found = bias.tables(trained(params), [3] * 12)
  assert list(found) == [f'layer {i + 1}' for i in range(12)]
  learned = params['stage_1']['block_9']['attention']['position_bias']['table']
  np.testing.assert_array_equal(found['layer 11'], learned.transpose(2, 0, 1))
  stacked = bias.tables(trained(stack_blocks(params)), [3] * 12)
  for name in found:
    np.testing.assert_array_equal(found[name], stacked[name])


@pytest.mark.parametrize('pretrained', [None, (5, 4)])
def test_the_tables_of_swin_v2_are_computed(pretrained):
  words = {'pretrained_window_sizes': pretrained} if pretrained else {}
  params = random_params(variant='V2-mu', **words)
  found = bias.tables(trained(params, **words), [3] * 12)
  part = params['stage_1']['block_2']['attention']['position_bias']
  layer = window_attention.ContinuousPositionBias(4, pretrained_window=(pretrained or (0, 0))[1])
  added = layer.apply({'params': part}, 3)
  table = found['layer 4']
  assert table.shape == (4, 5, 5)
  for query, key in ((0, 0), (8, 0), (0, 8), (5, 1)):
    y, x = np.subtract(divmod(query, 3), divmod(key, 3)) + 2
    np.testing.assert_allclose(table[:, y, x], added[:, query, key], rtol=1e-5)


def test_a_model_without_windows_has_no_bias():
  assert bias.tables(trained({'block_0': {'kernel': np.zeros(3)}}), [0]) == {}
