"""Features of regions; what they are is held to torchvision's in the parity of the detector."""

import jax
import jax.numpy as jnp
import numpy as np

from vitlab.layers.box_head import BoxHead
from vitlab.layers.norms import make_norm

REGIONS = jax.random.normal(jax.random.key(0), (3, 2, 2, 4))


def test_parameter_names_are_the_interface():
  norm = make_norm('batchnorm', 1e-5, maps=True)
  for head, names in {
    BoxHead((6, 5)): {'hidden1', 'hidden2'},
    BoxHead((6,), (7, 4), norm): {'conv_0', 'conv_1', 'norm_0', 'norm_1', 'hidden1'},
  }.items():
    variables = jax.eval_shape(head.init, jax.random.key(0), REGIONS)
    assert set(variables['params']) == names
    assert variables['params']['hidden1']['kernel'].shape == (2, 2, 4, 6)


def test_features_of_a_region_are_its_own_and_where_a_value_is_matters():
  head = BoxHead((6,))
  params = head.init(jax.random.key(1), REGIONS)
  before = head.apply(params, REGIONS)
  after = head.apply(params, REGIONS.at[1].set(jnp.flip(REGIONS[1], 0)))
  np.testing.assert_array_equal(before[::2], after[::2])
  assert abs(before[1] - after[1]).max() > 1e-2 and before.min() == 0
