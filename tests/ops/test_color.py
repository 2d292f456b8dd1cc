"""Pixel operations against Pillow, whose meaning they have, and against NumPy."""

import colorsys
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from vitlab.errors import UserError
from vitlab.ops import color

RNG = np.random.default_rng(0)
# Three pictures: noise, a narrow range, and one with a constant channel.
PIXELS = RNG.integers(0, 256, (3, 9, 7, 3), dtype=np.uint8)
PIXELS[1] = 100 + PIXELS[1] // 4
PIXELS[2, :, :, 1] = 30
IMAGE = jnp.asarray(PIXELS, jnp.float32) / 255


def pillow(function):
  return np.stack([np.asarray(function(Image.fromarray(x))) for x in PIXELS]).astype(int)


def levels(image):
  return np.round(np.asarray(image) * 255).astype(int)


@functools.cache
def compiled(function):
  return jax.jit(function)


def strengths(value):
  return jnp.full(3, value, jnp.float32)


@pytest.mark.parametrize('factor', [0.1, 0.7, 1.0, 1.9])
@pytest.mark.parametrize(
  'ours, theirs',
  [
    (color.brightness, ImageEnhance.Brightness),
    (color.contrast, ImageEnhance.Contrast),
    (color.saturation, ImageEnhance.Color),
    (color.sharpness, ImageEnhance.Sharpness),
  ],
)
def test_enhancements_equal_pillow(ours, theirs, factor):
  expected = pillow(lambda x: theirs(x).enhance(factor))
  got = levels(compiled(ours)(IMAGE, strengths(factor)))
  # Pillow rounds the degenerate image (and contrast's mean) and cuts the result to whole levels.
  assert np.abs(got - expected).max() <= 1 + (factor > 1)


@pytest.mark.parametrize('bits', [4, 5, 6, 7, 8])
def test_posterize_equals_pillow(bits):
  expected = pillow(lambda x: ImageOps.posterize(x, bits))
  np.testing.assert_array_equal(levels(compiled(color.posterize)(IMAGE, strengths(bits))), expected)


@pytest.mark.parametrize('threshold', [0, 1, 128, 255, 256])
def test_solarize_equals_pillow(threshold):
  expected = pillow(lambda x: ImageOps.solarize(x, threshold))
  got = compiled(color.solarize)(IMAGE, strengths(threshold / 255))
  np.testing.assert_array_equal(levels(got), expected)


@pytest.mark.parametrize('size', [(9, 7), (40, 30)])
def test_equalize_equals_pillow(size):
  pixels = np.clip(RNG.normal(90, 25, (*size, 3)), 0, 255).astype(np.uint8)
  got = compiled(color.equalize)(jnp.asarray(pixels, jnp.float32)[None] / 255)
  expected = np.asarray(ImageOps.equalize(Image.fromarray(pixels)))
  np.testing.assert_array_equal(levels(got)[0], expected)


def test_autocontrast_equals_pillow():
  assert (
    np.abs(levels(compiled(color.autocontrast)(IMAGE)) - pillow(ImageOps.autocontrast)).max() <= 1
  )


def test_grayscale_equals_pillow():
  expected = pillow(lambda x: x.convert('L').convert('RGB'))
  assert np.abs(levels(compiled(color.grayscale)(IMAGE)) - expected).max() <= 1


@pytest.mark.parametrize('channels', [1, 2, 5])
def test_other_channels_are_averaged(channels):
  image = jnp.asarray(RNG.random((2, 4, 4, channels)), jnp.float32)
  expected = np.broadcast_to(np.asarray(image).mean(-1, keepdims=True), image.shape)
  np.testing.assert_allclose(compiled(color.grayscale)(image), expected, rtol=1e-6)


def test_each_example_has_its_own_strength():
  factor = jnp.asarray([0.0, 1.0, 0.5])
  got = compiled(color.brightness)(IMAGE, factor)
  np.testing.assert_allclose(got, np.asarray(IMAGE) * factor[:, None, None, None], rtol=1e-6)


def test_gaussian_blur_by_hand():
  sigma = np.array([0.1, 0.8, 2.0])
  for axis, size in ((1, 9), (2, 7)):
    offset = np.arange(size)[:, None] - np.arange(size)
    weight = np.exp(-(offset**2) / (2 * sigma[:, None, None] ** 2))
    weight /= weight.sum(-1, keepdims=True)
    if axis == 1:
      expected = np.einsum('byh,bhwc->bywc', weight, np.asarray(IMAGE, np.float64))
    else:
      expected = np.einsum('bxw,bywc->byxc', weight, expected)
  got = compiled(color.gaussian_blur)(IMAGE, jnp.asarray(sigma, jnp.float32))
  np.testing.assert_allclose(got, expected, atol=1e-6)
  np.testing.assert_allclose(got[0], IMAGE[0], atol=1e-6)


@pytest.mark.parametrize('size', [(1, 1), (2, 5), (5, 2)])
def test_smoothing_leaves_borders(size):
  image = jnp.asarray(RNG.random((1, *size, 1)), jnp.float32)
  np.testing.assert_array_equal(compiled(color.smooth)(image), image)


def test_normalize():
  mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 0.125)
  expected = (np.asarray(IMAGE) - np.array(mean)) / np.array(std)
  np.testing.assert_allclose(color.normalize(IMAGE, mean, std), expected, atol=1e-5)
  np.testing.assert_array_equal(color.normalize(IMAGE, (0.0,), (1.0,)), IMAGE)
  with pytest.raises(UserError, match='std has 2 values, but images have 3 channels'):
    color.normalize(IMAGE, mean, (1.0, 1.0))


def test_shift_hsv_equals_the_standard_library():
  greys = np.stack([np.linspace(0, 1, 8)] * 3, -1)
  pixels = np.concatenate([greys, RNG.random((40, 3)), np.eye(3)]).astype(np.float32)
  for hue, saturation, value in ((0.0, 0.0, 0.0), (0.4, 0.0, 0.0), (-0.1, 0.3, -0.2), (0, -1, 1)):
    shifts = (jnp.asarray([x], jnp.float32) for x in (hue, saturation, value))
    got = color.shift_hsv(jnp.asarray(pixels)[None, None], *shifts)[0, 0]
    for pixel, new in zip(pixels, got):
      h, s, v = colorsys.rgb_to_hsv(*map(float, pixel))
      h, s, v = (h + hue) % 1.0, np.clip(s + saturation, 0, 1), np.clip(v + value, 0, 1)
      np.testing.assert_allclose(new, colorsys.hsv_to_rgb(h, s, v), atol=1e-5)


def test_shift_hsv_of_one_channel_moves_its_value():
  image, half = jnp.asarray([[[[0.2], [0.8]]]]), jnp.asarray([0.5])
  np.testing.assert_allclose(color.shift_hsv(image, half, half, half).ravel(), [0.7, 1.0])


def test_contrast_is_about_the_mean_of_what_is_valid():
  padded = jnp.pad(IMAGE, ((0, 0), (0, 3), (0, 5), (0, 0)))
  factor, (h, w) = strengths(1.7), IMAGE.shape[1:3]
  valid = jnp.zeros((*padded.shape[:3], 1), bool).at[:, :h, :w].set(True)
  got = color.contrast(padded, factor, valid)[:, :h, :w]
  np.testing.assert_allclose(got, color.contrast(IMAGE, factor), atol=1e-6)
  assert np.abs(color.contrast(padded, factor)[:, :h, :w] - got).max() > 0.05
