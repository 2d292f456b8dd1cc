"""Layouts: what torch computes with their array, einsum computes with ours; there and back."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vitlab.errors import UserError
from vitlab.pretrained.layouts import (
  batched,
  conv,
  first_positions,
  flat,
  grid_positions,
  linear,
  same,
)

LAYOUTS = {  # name -> (layout, our shape, theirs)
  'linear': (linear(), (4, 3, 2, 5), (30, 4)),
  'linear_of_heads': (linear(contracted=2), (2, 5, 4), (4, 10)),
  'conv': (conv, (2, 3, 4, 5), (5, 4, 2, 3)),
  'flat': (flat, (3, 2, 5), (30,)),
  'batched': (batched, (1, 4), (1, 1, 4)),
  'same': (same, (3, 4), (3, 4)),
}


def random(shape):
  return np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize('name', LAYOUTS)
def test_there_and_back(name):
  layout, ours, theirs = LAYOUTS[name]
  array = random(ours)
  assert layout.theirs(ours) == layout.to_theirs(array).shape == theirs
  np.testing.assert_array_equal(layout.to_ours(layout.to_theirs(array), ours), array)


def test_linear_multiplies_as_torch_does():
  weight, x = random((6, 4)), random((5, 4))
  kernel = linear().to_ours(weight, (4, 3, 2))
  expected = F.linear(torch.tensor(x), torch.tensor(weight)).reshape(5, 3, 2)
  np.testing.assert_allclose(np.einsum('bd,dnk->bnk', x, kernel), expected, atol=1e-12)


def test_conv_correlates_as_torch_does():
  weight, patch = random((5, 3, 2, 4)), random((1, 3, 2, 4))
  kernel = conv.to_ours(weight, (2, 4, 3, 5))
  expected = F.conv2d(torch.tensor(patch), torch.tensor(weight))[0, :, 0, 0]
  np.testing.assert_allclose(np.einsum('cyx,yxco->o', patch[0], kernel), expected, atol=1e-12)


def test_one_table_of_positions_holds_tokens_and_patches():
  table = random((1, 2 + 6, 4))
  first = first_positions().to_ours(table, (2, 4))
  rest = grid_positions(2, (2, 3)).to_ours(table, (2, 3, 4))
  np.testing.assert_array_equal(np.concatenate([first, rest.reshape(6, 4)]), table[0])


def test_a_square_grid_is_found_and_any_other_is_ours_or_asked_for():
  assert grid_positions().to_ours(random((1, 16, 2)), (4, 6, 2)).shape == (4, 6, 2)
  array = random((1, 6, 2))
  np.testing.assert_array_equal(grid_positions().to_ours(array, (3, 2, 2)), array.reshape(3, 2, 2))
  with pytest.raises(UserError, match='16 patches, the model has 2×8'):
    grid_positions().to_ours(random((1, 16, 2)), (2, 8, 2))
  with pytest.raises(UserError, match='12 positions do not lie on a grid of 5×2'):
    grid_positions(grid=(5, 2)).to_ours(random((1, 12, 2)), (3, 4, 2))
