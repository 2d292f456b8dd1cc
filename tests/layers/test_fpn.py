"""The pyramid of torchvision: outputs in the parity of the detector; here what it is made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from vitlab.layers.fpn import FPN, doubled
from vitlab.layers.norms import make_norm

MAPS = [jnp.ones((2, *side, width)) for side, width in (((9, 7), 3), ((5, 4), 4), ((3, 2), 5))]


@pytest.mark.parametrize('shape', [(6, 8), (5, 8), (6, 7), (5, 7)])
def test_upsamples_to_the_nearest_as_torch_does(shape):
  x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
  wanted = torch.nn.functional.interpolate(
    torch.tensor(x.transpose(0, 3, 1, 2)), size=shape, mode='nearest'
  )
  ours = doubled(jnp.asarray(x), shape)
  np.testing.assert_array_equal(ours, wanted.numpy().transpose(0, 2, 3, 1))


def test_one_width_for_all_levels_and_one_level_more():
  levels, _ = FPN(6).init_with_output(jax.random.key(0), MAPS)
  assert [level.shape for level in levels] == [(2, *s, 6) for s in ((9, 7), (5, 4), (3, 2), (2, 1))]
  np.testing.assert_array_equal(levels[3], levels[2][:, ::2, ::2])


def test_a_norm_is_behind_every_convolution_and_has_its_bias():
  norm = make_norm('batchnorm', 1e-5, maps=True)
  params = jax.eval_shape(FPN(6, norm).init, jax.random.key(0), MAPS)['params']
  layers = {f'{kind}_{i}' for kind in ('lateral', 'output') for i in range(3)}
  norms = {f'{kind}_norm_{i}' for kind in ('lateral', 'output') for i in range(3)}
  assert set(params) == layers | norms and set(params['output_1']) == {'kernel'}
  params = jax.eval_shape(FPN(6).init, jax.random.key(0), MAPS)['params']
  assert set(params) == layers and set(params['output_1']) == {'kernel', 'bias'}


def test_coarse_maps_tell_fine_ones_and_not_the_other_way_round():
  model = FPN(6)
  params = model.init(jax.random.key(0), MAPS)

  def slopes(level):
    total = lambda maps: jnp.sin(model.apply(params, maps)[level]).sum()  # noqa: E731
    return [bool(abs(slope).any()) for slope in jax.grad(total)(MAPS)]

  assert slopes(0) == [True] * 3
  assert slopes(2) == slopes(3) == [False, False, True]
