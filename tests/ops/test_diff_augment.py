"""DiffAugment against the authors' code, told the same random numbers; and its gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from vitlab.errors import UserError
from vitlab.ops import diff_augment

KEY = jax.random.key(3)
IMAGE = np.random.default_rng(0).uniform(-1, 1, (16, 8, 12, 3)).astype(np.float32)
PICTURES = jnp.asarray(IMAGE)


def drawn_color(key, b):
  return np.array(jax.random.uniform(key, (3, b))).reshape(3, b, 1, 1, 1)


def color(x, draw):
  """rand_brightness, rand_saturation and rand_contrast of DiffAugment_pytorch.py."""
  brightness, saturation, contrast = map(torch.from_numpy, draw)
  x = x + (brightness - 0.5)
  mean = x.mean(dim=1, keepdim=True)
  x = (x - mean) * (saturation * 2) + mean
  mean = x.mean(dim=[1, 2, 3], keepdim=True)
  return (x - mean) * (contrast + 0.5) + mean


def drawn_translation(key, b, ratio=0.125):
  most = np.array([int(n * ratio + 0.5) for n in IMAGE.shape[1:3]])
  return np.asarray(jax.random.randint(key, (b, 2), 0, 2 * most + 1)) - most


def translation(x, draw):
  """Its rand_translation."""
  rows, columns = (torch.from_numpy(draw[:, i].copy()).reshape(-1, 1, 1) for i in (0, 1))
  sizes = [torch.arange(n) for n in (x.size(0), x.size(2), x.size(3))]
  batch, grid_x, grid_y = torch.meshgrid(*sizes, indexing='ij')
  grid_x = torch.clamp(grid_x + rows + 1, 0, x.size(2) + 1)
  grid_y = torch.clamp(grid_y + columns + 1, 0, x.size(3) + 1)
  padded = torch.nn.functional.pad(x, [1, 1, 1, 1, 0, 0, 0, 0])
  return padded.permute(0, 2, 3, 1).contiguous()[batch, grid_x, grid_y].permute(0, 3, 1, 2)


def drawn_cutout(key, b, ratio=0.5):
  sides = [int(n * ratio + 0.5) for n in IMAGE.shape[1:3]]
  draws = [
    jax.random.randint(k, (b, 1), 0, n + (1 - side % 2))
    for k, n, side in zip(jax.random.split(key), IMAGE.shape[1:3], sides)
  ]
  return np.concatenate(draws, axis=1), sides


def cutout(x, draw):
  """Its rand_cutout."""
  offsets, sides = draw
  rows, columns = (torch.from_numpy(offsets[:, i].copy()).reshape(-1, 1, 1) for i in (0, 1))
  sizes = [torch.arange(n) for n in (x.size(0), *sides)]
  batch, grid_x, grid_y = torch.meshgrid(*sizes, indexing='ij')
  grid_x = torch.clamp(grid_x + rows - sides[0] // 2, min=0, max=x.size(2) - 1)
  grid_y = torch.clamp(grid_y + columns - sides[1] // 2, min=0, max=x.size(3) - 1)
  mask = torch.ones(x.size(0), x.size(2), x.size(3))
  mask[batch, grid_x, grid_y] = 0
  return x * mask.unsqueeze(1)


CASES = {
  'color': (color, drawn_color),
  'translation': (translation, drawn_translation),
  'translation(0.3)': (translation, functools.partial(drawn_translation, ratio=0.3)),
  'cutout': (cutout, drawn_cutout),
  'cutout(0.4)': (cutout, functools.partial(drawn_cutout, ratio=0.4)),  # odd sides: 3 and 5
}


def theirs(name, x):
  function, draw = CASES[name]
  x = torch.from_numpy(x).permute(0, 3, 1, 2).requires_grad_()
  drawn = draw(jax.random.fold_in(KEY, 0), len(IMAGE))
  return x, function(x, drawn)


@pytest.mark.parametrize('name', CASES)
def test_values_and_gradients_are_those_of_the_authors_code(name):
  ours = functools.partial(diff_augment.compile(name), KEY)
  x, wanted = theirs(name, IMAGE)
  found, pull = jax.vjp(ours, PICTURES)
  np.testing.assert_allclose(found, wanted.permute(0, 2, 3, 1).detach(), atol=1e-6)
  assert np.abs(found - IMAGE).max() > 0.1
  weights = np.random.default_rng(1).normal(size=IMAGE.shape).astype(np.float32)
  (wanted * torch.from_numpy(weights).permute(0, 3, 1, 2)).sum().backward()
  (gradient,) = pull(jnp.asarray(weights))
  np.testing.assert_allclose(gradient, x.grad.permute(0, 2, 3, 1), atol=1e-5)


def test_operations_follow_one_another_each_with_numbers_of_its_own():
  both = diff_augment.compile('translation|translation')(KEY, PICTURES)
  first = diff_augment.translation(jax.random.fold_in(KEY, 0), PICTURES)
  second = diff_augment.translation(jax.random.fold_in(KEY, 1), first)
  np.testing.assert_array_equal(both, second)
  assert np.any(second != diff_augment.translation(jax.random.fold_in(KEY, 0), first))
  np.testing.assert_array_equal(diff_augment.compile('')(KEY, PICTURES), IMAGE)


def test_no_picture_has_a_part_in_another():
  augment = functools.partial(diff_augment.compile('color|translation|cutout'), KEY)
  other = jnp.concatenate([PICTURES[:1], -PICTURES[1:]])
  np.testing.assert_array_equal(augment(PICTURES)[0], augment(other)[0])


def test_an_unknown_operation_is_named():
  with pytest.raises(UserError, match="unknown augmentation 'colour': did you mean color"):
    diff_augment.compile('colour')
