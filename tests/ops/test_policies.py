"""Policies against their single operations, which have tests of their own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from vitlab.ops import color, geometry, policies

RNG = np.random.default_rng(0)
# more than 255 pixels, or equalizing would be the identity
PIXELS = RNG.integers(0, 256, (4, 20, 18, 3), dtype=np.uint8)
IMAGE = jnp.asarray(PIXELS, jnp.float32) / 255
TARGET = jnp.eye(4)
SIGN = np.array([1.0, -1.0, 1.0, -1.0])
KEY = jax.random.key(0)


def move(matrix=(0.0, 0.0, 0.0), shift=(0.0, 0.0)):
  angle, y, x = (jnp.asarray(SIGN * value, jnp.float32) for value in matrix)
  linear = geometry.rotation(angle) @ geometry.shearing(y, x)
  return geometry.warp(IMAGE, linear, jnp.asarray(SIGN[:, None] * shift, jnp.float32), fill=0.5)


def pillow(function):
  new = [np.asarray(function(Image.fromarray(x), s)) for x, s in zip(PIXELS, SIGN)]
  return np.stack(new) / 255


def enhance(kind):
  return lambda strength: pillow(lambda x, s: kind(x).enhance(1 + 0.9 * s * strength))


EXPECTED = {
  'identity': lambda strength: IMAGE,
  'autocontrast': lambda strength: pillow(lambda x, s: ImageOps.autocontrast(x)),
  'equalize': lambda strength: pillow(lambda x, s: ImageOps.equalize(x)),
  'rotate': lambda strength: move(matrix=(np.deg2rad(30) * strength, 0, 0)),
  'solarize': lambda strength: pillow(lambda x, s: ImageOps.solarize(x, 256 - 256 * strength)),
  'color': enhance(ImageEnhance.Color),
  'posterize': lambda strength: pillow(lambda x, s: ImageOps.posterize(x, 8 - round(4 * strength))),
  'contrast': enhance(ImageEnhance.Contrast),
  'brightness': enhance(ImageEnhance.Brightness),
  'sharpness': enhance(ImageEnhance.Sharpness),
  'shear_x': lambda strength: move(matrix=(0, 0, 0.3 * strength)),
  'shear_y': lambda strength: move(matrix=(0, 0.3 * strength, 0)),
  'translate_x': lambda strength: move(shift=(0, 150 / 331 * 18 * strength)),
  'translate_y': lambda strength: move(shift=(150 / 331 * 20 * strength, 0)),
}
APPLY = jax.jit(policies.apply_operation)


@pytest.mark.parametrize('strength', [0.0, 0.45, 1.0])
@pytest.mark.parametrize('name', policies.RAND_AUGMENT)
def test_operations_of_rand_augment(name, strength):
  index = jnp.full(4, policies.RAND_AUGMENT.index(name))
  sign = jnp.asarray(SIGN, jnp.float32)
  got = APPLY(IMAGE, index, jnp.full(4, strength), sign)
  # Pillow works in whole levels, and cuts where we round.
  np.testing.assert_allclose(got, EXPECTED[name](strength), atol=2.01 / 255)


def test_every_operation_but_those_of_contrast_vanishes_with_its_strength():
  for i, name in enumerate(policies.RAND_AUGMENT):
    got = APPLY(IMAGE, jnp.full(4, i), jnp.zeros(4), jnp.ones(4))
    if name not in ('autocontrast', 'equalize'):
      np.testing.assert_allclose(got, IMAGE, atol=1e-6, err_msg=name)


def test_each_example_gets_its_own_operation():
  index = jnp.asarray([0, 1, 3, 8])
  together = APPLY(IMAGE, index, jnp.full(4, 0.7), jnp.ones(4))
  for i in range(4):
    alone = APPLY(IMAGE, jnp.full(4, index[i]), jnp.full(4, 0.7), jnp.ones(4))
    np.testing.assert_allclose(together[i], alone[i], atol=1e-6)


def rand_augment(image, **kw):
  target = jnp.zeros((len(image), 1))
  return jax.jit(functools.partial(policies.rand_augment, **kw))(KEY, image, target)[0]


def test_rand_augment_draws_all_operations_at_its_magnitude():
  copies = jnp.tile(IMAGE[:1], (200, 1, 1, 1))
  got = rand_augment(copies, num_layers=1, magnitude=6.0)
  options = jnp.stack(
    [
      APPLY(IMAGE[:1], jnp.full(1, i), jnp.full(1, 0.6), jnp.full(1, sign))[0]
      for i in range(14)
      for sign in (-1.0, 1.0)
    ]
  )
  distance = np.abs(np.asarray(got)[:, None] - np.asarray(options)).max((2, 3, 4))
  assert distance.min(1).max() < 1e-5
  assert len(set(distance.argmin(1) // 2)) == 14


def test_layers_follow_one_another():
  np.testing.assert_array_equal(rand_augment(IMAGE, num_layers=0), IMAGE)
  one, two = (rand_augment(IMAGE, num_layers=n) for n in (1, 2))
  choice, strength, sign = jax.random.split(jax.random.fold_in(KEY, 1), 3)
  expected = APPLY(
    one,
    jax.random.randint(choice, (4,), 0, 14),
    jnp.full(4, 0.9),
    jax.random.rademacher(sign, (4,), jnp.float32),
  )
  np.testing.assert_allclose(two, expected, atol=1.01 / 255)


def test_magnitudes_scatter_if_asked():
  copies = jnp.tile(IMAGE[:1], (64, 1, 1, 1))
  scattered = rand_augment(copies, num_layers=1, magnitude_std=0.5)
  # of one strength there are at most 25 different results: see the test of the magnitude
  assert len(np.unique(scattered.round(5), axis=0)) > 25


def test_three_augment_is_one_of_three():
  copies = jnp.tile(IMAGE[:1], (60, 1, 1, 1))
  got = policies.three_augment(KEY, copies, jnp.zeros((60, 1)), jitter=0.0)[0]
  grey = np.isclose(got, color.grayscale(copies), atol=1e-5).all((1, 2, 3))
  solar = np.isclose(got, color.solarize(copies, jnp.full(60, 128 / 255)), atol=1e-5).all((1, 2, 3))
  sigma = jax.random.uniform(jax.random.split(KEY, 3)[1], (60,), minval=0.1, maxval=2.0)
  blur = np.isclose(got, color.gaussian_blur(copies, sigma), atol=1e-5).all((1, 2, 3))
  np.testing.assert_array_equal(grey + solar.astype(int) + blur, 1)
  assert min(grey.sum(), solar.sum(), blur.sum()) > 10


def test_color_jitter_stays_within_its_factors():
  # far from black and white, so that nothing is clipped
  flat = jnp.full((300, 2, 2, 3), 0.4)
  got = policies.color_jitter(KEY, flat, jnp.zeros((300, 1)), brightness=0.5)[0]
  factor = np.asarray(got)[:, 0, 0, 0] / 0.4
  assert 0.5 <= factor.min() < 0.52 and 1.48 < factor.max() <= 1.5
  same = policies.color_jitter(KEY, IMAGE, TARGET, 0.0, 0.0, 0.0)[0]
  np.testing.assert_allclose(same, IMAGE, atol=1e-6)
  for i, name in enumerate(('brightness', 'contrast', 'saturation')):
    spec = dict.fromkeys(('brightness', 'contrast', 'saturation'), 0.0) | {name: 0.3}
    factor = jax.random.uniform(jax.random.fold_in(KEY, i), (4,), minval=0.7, maxval=1.3)
    expected = getattr(color, name)(IMAGE, factor)
    got = policies.color_jitter(KEY, IMAGE, TARGET, **spec)[0]
    np.testing.assert_allclose(got, expected, atol=1e-6)
