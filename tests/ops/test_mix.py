"""Mixing and erasing against NumPy, given the shares that the targets show."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from vitlab.ops import mix

RNG = np.random.default_rng(0)
B, H, W = 64, 10, 12
IMAGE = jnp.asarray(RNG.random((B, H, W, 2)), jnp.float32)
TARGET = jnp.eye(B)  # of its own class each, so that a target shows its partner and share
KEY = jax.random.key(5)
PARTNER = np.arange(B) ^ 1


def run(operation, image=IMAGE, **kw):
  target = jnp.resize(TARGET, (len(image), B))
  return jax.jit(functools.partial(operation, **kw))(KEY, image, target)


def shares(target):
  target = np.asarray(target)
  share = np.diagonal(target)
  expected = np.zeros((B, B), np.float32)
  expected[np.arange(B), PARTNER] = 1 - share
  expected[np.arange(B), np.arange(B)] = share
  np.testing.assert_allclose(target, expected, atol=1e-6)
  return share


@pytest.mark.parametrize('size', [1, 2, 5, 6])
def test_partners_are_neighbours(size):
  expected = np.arange(size) ^ 1
  expected[expected == size] = size - 1
  np.testing.assert_array_equal(mix.partners(jnp.arange(size)), expected)


def test_partners_in_groups_of_four_take_turns():
  rows = jnp.arange(10)
  turns = np.stack([mix.partners(rows, step, 4) for step in range(4)])
  expected = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 0, 5, 6, 7, 4, 9, 8]]
  np.testing.assert_array_equal(turns[:2], expected)
  np.testing.assert_array_equal(np.sort(turns[:, :8], axis=0)[:, 4], [4, 5, 6, 7])


@pytest.mark.parametrize('alpha', [0.2, 1.0, 8.0])
def test_beta_is_beta(alpha):
  sample = mix.beta(KEY, alpha, 5000)
  assert scipy.stats.kstest(sample, scipy.stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_mixup_mixes_image_and_target_alike():
  image, target = run(mix.mixup, alpha=0.8)
  share = shares(target)
  assert len(np.unique(share)) > B // 2
  keep = share[:, None, None, None]
  expected = keep * np.asarray(IMAGE) + (1 - keep) * np.asarray(IMAGE)[PARTNER]
  np.testing.assert_allclose(image, expected, atol=1e-6)


def test_cutmix_pastes_one_box_of_the_size_that_the_target_says():
  image, target = run(mix.cutmix)
  share, image, old = shares(target), np.asarray(image), np.asarray(IMAGE)
  pasted = (image != old).all(-1)
  for i in range(B):
    assert pasted[i].mean() == pytest.approx(1 - share[i], abs=1e-6)
    rows, columns = pasted[i].any(1), pasted[i].any(0)
    np.testing.assert_array_equal(pasted[i], rows[:, None] & columns)
    for line in (rows, columns):
      assert np.abs(np.diff(line.astype(int), prepend=0, append=0)).sum() in (0, 2)
    np.testing.assert_array_equal(image[i][pasted[i]], old[PARTNER[i]][pasted[i]])
  assert 0.2 < share.mean() < 0.8 and share.std() > 0.1


def test_cutmix_boxes_have_the_shape_of_the_image_unless_cut_off():
  old = jnp.asarray(RNG.random((512, H, W, 1)), jnp.float32)
  image, _ = run(mix.cutmix, old)
  pasted = np.asarray(image != old)[..., 0]
  inner = ~(pasted[:, [0, -1]].any((1, 2)) | pasted[:, :, [0, -1]].any((1, 2)))
  inner &= pasted.any((1, 2))
  assert inner.sum() > 20
  height, width = pasted.any(2).sum(1)[inner], pasted.any(1).sum(1)[inner]
  # floor(side H) and floor(side W) of one side
  assert ((height / H < (width + 1) / W) & (width / W < (height + 1) / H)).all()


def test_mixup_or_cutmix_switches_per_example():
  image, target = run(mix.mixup_or_cutmix)
  share, image, old = shares(target), np.asarray(image), np.asarray(IMAGE)
  keep = share[:, None, None, None]
  blended = np.isclose(image, keep * old + (1 - keep) * old[PARTNER], atol=1e-5).all((1, 2, 3))
  pasted = ((image == old) | (image == old[PARTNER])).all((1, 2, 3))
  assert (blended | pasted).all()
  assert 20 < blended.sum() < 44
  for probability, kind in ((0.0, mix.mixup), (1.0, mix.cutmix)):
    image, target = run(mix.mixup_or_cutmix, switch_probability=probability)
    share = shares(target)
    pasted = ((image == old) | (image == old[PARTNER])).all((1, 2, 3))
    assert pasted.mean() > 0.9 if kind is mix.cutmix else pasted.mean() < 0.1


def test_random_erasing_fills_one_box_with_noise():
  image, target = run(mix.random_erasing, probability=0.5, scale=(0.1, 0.4))
  np.testing.assert_array_equal(target, TARGET)
  erased = (np.asarray(image) != np.asarray(IMAGE)).all(-1)
  touched = erased.any((1, 2))
  assert 16 < touched.sum() < 48
  for one in erased[touched]:
    np.testing.assert_array_equal(one, one.any(1)[:, None] & one.any(0))
  area = erased[touched].mean((1, 2))
  assert 0.05 < area.min() < area.max() < 0.5
  noise = np.asarray(image)[erased]
  assert abs(noise.mean() - 0.5) < 0.03 and abs(noise.std() - 12**-0.5) < 0.03


def test_erasing_never_and_always():
  never, _ = run(mix.random_erasing, probability=0.0)
  np.testing.assert_array_equal(never, IMAGE)
  always, _ = run(mix.random_erasing, probability=1.0, scale=(0.2, 0.3))
  assert (np.asarray(always) != np.asarray(IMAGE)).any((1, 2, 3)).all()


def test_an_image_into_which_no_box_fits_stays_whole():
  whole, _ = run(mix.random_erasing, probability=1.0, scale=(0.9, 1.0), ratio=(3.0, 3.3))
  np.testing.assert_array_equal(whole, IMAGE)
