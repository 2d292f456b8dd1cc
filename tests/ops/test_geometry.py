"""Movements of pixels against NumPy and SciPy, given what was drawn."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from vitlab.ops import geometry

RNG = np.random.default_rng(0)
IMAGE = jnp.asarray(RNG.random((16, 6, 8, 2)), jnp.float32)
TARGET = jnp.eye(16)
KEY = jax.random.key(3)


boxes = jax.jit(geometry.random_boxes, static_argnums=(2, 3))


def run(operation, image=IMAGE, **kw):
  moved, target = jax.jit(functools.partial(operation, **kw))(KEY, image, TARGET)
  np.testing.assert_array_equal(target, TARGET)
  assert moved.shape == image.shape
  return np.asarray(moved)


@pytest.mark.parametrize(
  'mode, numpy_mode', [('zero', 'constant'), ('reflect',) * 2, ('edge',) * 2]
)
def test_random_crop_is_a_window_of_the_padded_image(mode, numpy_mode):
  cropped = run(geometry.random_crop, padding=3, mode=mode)
  padded = np.pad(IMAGE, ((0, 0), (3, 3), (3, 3), (0, 0)), mode=numpy_mode)
  windows = np.lib.stride_tricks.sliding_window_view(padded, (6, 8), axis=(1, 2))
  windows = np.moveaxis(windows, 3, -1)
  assert windows.shape[1:3] == (7, 7)
  equal = (windows == cropped[:, None, None]).all((3, 4, 5))
  assert equal.any((1, 2)).all()
  # not always the same window
  assert len({tuple(np.argwhere(one)[0]) for one in equal}) > 8


def test_random_crop_reaches_every_shift_alike():
  image = jnp.zeros((2000, 1, 1, 1)).at[:].set(1.0)
  kept, _ = geometry.random_crop(KEY, image, jnp.zeros((2000, 1)), padding=1)
  assert abs(float(kept.mean()) - 1 / 9) < 0.03


def test_flip_mirrors_left_and_right():
  flipped = run(geometry.flip)
  mirrored = np.asarray(IMAGE)[:, :, ::-1]
  turned = (flipped == mirrored).all((1, 2, 3))
  assert 3 < turned.sum() < 13
  np.testing.assert_array_equal(flipped[~turned], IMAGE[~turned])
  np.testing.assert_array_equal(run(geometry.flip, probability=1.0), mirrored)
  np.testing.assert_array_equal(run(geometry.flip, probability=0.0), IMAGE)


def triangle(size, start, length):
  """Weights [to, from] that resample [start, start + length) to `size` places, antialiased."""
  zoom = size / length
  middle = start + (np.arange(size) + 0.5) / zoom - 0.5
  weight = np.maximum(0, 1 - np.abs(middle[:, None] - np.arange(size)) * min(1, zoom))
  return weight / weight.sum(1, keepdims=True)


def test_resized_crop_by_hand():
  box = boxes(KEY, IMAGE, (0.2, 0.9), (0.5, 2.0))
  resized = run(geometry.resized_crop, scale=(0.2, 0.9), ratio=(0.5, 2.0))
  for i in range(16):
    assert box.fits[i]
    rows = triangle(6, float(box.top[i]), float(box.height[i]))
    columns = triangle(8, float(box.left[i]), float(box.width[i]))
    expected = np.einsum('yh,xw,hwc->yxc', rows, columns, np.asarray(IMAGE[i], np.float64))
    np.testing.assert_allclose(resized[i], expected, atol=1e-5)


def test_a_crop_that_cannot_fit_is_the_largest_central_one():
  resized = run(geometry.resized_crop, scale=(1.0, 1.0), ratio=(0.5, 0.5))
  rows, columns = triangle(6, 0, 6), triangle(8, 2.5, 3)
  expected = np.einsum('yh,xw,bhwc->byxc', rows, columns, np.asarray(IMAGE, np.float64))
  np.testing.assert_allclose(resized, expected, atol=1e-5)


def test_a_crop_of_everything_changes_nothing():
  image = IMAGE[:, :, :6]
  same = run(geometry.resized_crop, image=image, scale=(1.0, 1.0), ratio=(1.0, 1.0))
  np.testing.assert_allclose(same, image, atol=1e-5)


def test_bicubic_crops_stay_in_range():
  image = jnp.round(IMAGE)
  bicubic = run(geometry.resized_crop, image=image, interpolation='bicubic')
  assert bicubic.min() >= 0 and bicubic.max() <= 1
  assert np.abs(bicubic - run(geometry.resized_crop, image=image)).max() > 0.01


def test_boxes_lie_inside_and_are_spread_as_asked():
  image = jnp.zeros((4000, 10, 10, 1))
  box = boxes(KEY, image, (0.1, 0.5), (0.5, 2.0))
  top, left, height, width, fits = map(np.asarray, box)
  assert fits.all()
  assert (top >= 0).all() and (left >= 0).all()
  assert (top + height <= 10 + 1e-4).all() and (left + width <= 10 + 1e-4).all()
  area, ratio = height * width / 100, np.log2(width / height)
  for values, low, high in ((area, 0.1, 0.5), (ratio, -1, 1)):
    assert values.min() >= low - 1e-5 and values.max() <= high + 1e-5
    assert abs(values.mean() - (low + high) / 2) < 0.03
    assert abs(values.std() - (high - low) / 12**0.5) < 0.03


@pytest.mark.parametrize('fill', [0.0, 0.5])
def test_warp_equals_scipy(fill):
  matrix = jnp.asarray(RNG.normal(size=(16, 2, 2)), jnp.float32)
  shift = jnp.asarray(RNG.normal(size=(16, 2)), jnp.float32)
  got = geometry.warp(IMAGE, matrix, shift, fill)
  centre = np.array([2.5, 3.5])
  for i in range(16):
    m = np.asarray(matrix[i], np.float64)
    offset = centre + np.asarray(shift[i]) - m @ centre
    for c in range(2):
      expected = ndimage.affine_transform(
        np.asarray(IMAGE[i, :, :, c], np.float64),
        m,
        offset,
        order=1,
        mode='grid-constant',
        cval=fill,
      )
      np.testing.assert_allclose(got[i, :, :, c], expected, atol=1e-5)


def test_warp_by_nothing_and_by_whole_pixels_is_exact():
  one = jnp.broadcast_to(jnp.eye(2), (16, 2, 2))
  np.testing.assert_array_equal(geometry.warp(IMAGE, one, jnp.zeros((16, 2))), IMAGE)
  moved = geometry.warp(IMAGE, one, jnp.tile(jnp.array([1.0, -2.0]), (16, 1)), fill=0.25)
  expected = np.full(IMAGE.shape, 0.25, np.float32)
  expected[:, :-1, 2:] = IMAGE[:, 1:, :-2]
  np.testing.assert_array_equal(moved, expected)


def test_quarter_turns_are_rotations():
  image = IMAGE[:, :, :6]
  turned = geometry.warp(image, geometry.rotation(jnp.full(16, jnp.pi / 2)), jnp.zeros((16, 2)))
  assert any(np.allclose(turned, np.rot90(image, k, axes=(1, 2)), atol=1e-5) for k in (1, 3))


def test_affine_draws_within_its_bounds():
  image = jnp.tile(jnp.linspace(0.1, 0.9, 9)[:, None, None], (200, 1, 9, 1))

  def affine(image=image, **kw):
    target = jnp.zeros((200, 1))
    return jax.jit(functools.partial(geometry.affine, **kw))(KEY, image, target)[0]

  same = affine()
  np.testing.assert_allclose(same, image, atol=1e-6)
  moved = affine(translate=1 / 9)
  centre = np.asarray(moved[:, 4, 4, 0])  # one pixel is 0.1
  assert 0.4 - 1e-5 <= centre.min() < 0.42 and 0.58 < centre.max() <= 0.6 + 1e-5
  slope = {}
  for name, kw in dict(zoom=dict(zoom=(0.5, 2.0)), turn=dict(degrees=60.0)).items():
    moved = affine(**kw)
    slope[name] = np.asarray(moved[:, 5, 4, 0] - moved[:, 3, 4, 0]) / 0.2
  assert 0.5 - 1e-4 <= slope['zoom'].min() < 0.55 and 1.8 < slope['zoom'].max() <= 2 + 1e-4
  assert 0.5 - 1e-4 <= slope['turn'].min() < 0.55 and 0.98 < slope['turn'].max() <= 1 + 1e-4
  sheared = affine(jnp.swapaxes(image, 1, 2), shear=0.5)
  lean = np.asarray(sheared[:, 5, 4, 0] - sheared[:, 3, 4, 0]) / 0.2
  assert -0.5 - 1e-4 <= lean.min() < -0.45 and 0.45 < lean.max() <= 0.5 + 1e-4


@pytest.mark.parametrize('zoom', [0.5, 1.0, 1.75])
def test_place_equals_pillow(zoom):
  """Pillow, too, makes smaller without aliasing; its picture ends where our window does."""
  images = np.asarray(RNG.random((2, 16, 20, 1)), np.float32)
  start, stop = jnp.array([[0.0, 0.0], [2.0, 4.0]]), jnp.array([[16.0, 20.0], [10.0, 12.0]])
  shift = jnp.array([[3.0, -5.0], [0.0, 2.0]]) - zoom * start
  zooms = jnp.full((2, 2), zoom)
  placed, covered = jax.jit(geometry.place)(jnp.asarray(images), start, stop, zooms, shift)
  for i, (top, left) in enumerate(((3, -5), (0, 2))):
    window = tuple(map(int, (start[i, 1], start[i, 0], stop[i, 1], stop[i, 0])))
    size = tuple(int(zoom * (stop[i, k] - start[i, k])) for k in (1, 0))
    picture = Image.fromarray(images[i, ..., 0]).crop(window)
    expected, mask = np.zeros((2, 100, 100))
    expected[20 + top :, 20 + left :][: size[1], : size[0]] = picture.resize(
      size, Image.Resampling.BILINEAR
    )
    mask[20 + top :, 20 + left :][: size[1], : size[0]] = 1
    np.testing.assert_allclose(placed[i, ..., 0], expected[20:36, 20:40], atol=1e-5)
    np.testing.assert_array_equal(covered[i, ..., 0], mask[20:36, 20:40])
