"""Pictures with boxes: each operation against NumPy, and that boxes stay where their pixels are."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from vitlab.ops import augment_boxes, policies
from vitlab.ops.augment_boxes import Sample

RNG = np.random.default_rng(0)
KEY = jax.random.key(5)
SIZES = np.array([[16, 24], [16, 18], [12, 24], [10, 20]])


def noise(channels=2):
  """Four pictures of noise in one corner of their canvas, with two objects and an empty row."""
  image = np.zeros((4, 16, 24, channels), np.float32)
  for row, (height, width) in zip(image, SIZES):
    row[:height, :width] = RNG.random((height, width, channels))
  boxes = np.tile(np.array([[2, 1, 9, 8], [0, 0, 0, 0], [6, 5, 18, 10]], np.float32), (4, 1, 1))
  return Sample(*map(jnp.asarray, (image, SIZES, boxes, np.array([[3, -1, 0]] * 4))))


SAMPLE = noise()


@functools.cache
def compiled(pipeline):
  return jax.jit(augment_boxes.compile(pipeline))


def resized(picture, size):
  """Pillow's, of floats: antialiased, as is ours."""
  channels = np.moveaxis(np.asarray(picture), -1, 0)
  images = (Image.fromarray(c).resize(size[::-1], Image.Resampling.BILINEAR) for c in channels)
  return np.stack([np.asarray(image) for image in images], -1)


def on_canvas(picture):
  canvas = np.zeros(SAMPLE.image.shape[1:], np.float32)
  canvas[: picture.shape[0], : picture.shape[1]] = picture
  return canvas


def moved(row, zoom, shift, size):
  """The objects of a row of SAMPLE by the rule of the module, one by one."""
  boxes, classes = np.zeros((3, 4)), np.full(3, -1)
  for o, (box, label) in enumerate(zip(np.asarray(SAMPLE.boxes[row]), SAMPLE.classes[row])):
    x0, y0, x1, y1 = box * np.tile(zoom[::-1], 2) + np.tile(shift[::-1], 2)
    inside = 0 < (x0 + x1) / 2 < size[1] and 0 < (y0 + y1) / 2 < size[0]
    cut = np.clip([x0, y0, x1, y1], 0, [size[1], size[0]] * 2)
    if label >= 0 and inside and cut[2] - cut[0] >= 1 and cut[3] - cut[1] >= 1:
      boxes[o], classes[o] = cut, label
  return boxes, classes


def pictures(sample):
  """Each picture without its padding."""
  return [np.asarray(x)[: s[0], : s[1]] for x, s in zip(sample.image, np.asarray(sample.size))]


def check(sample, row, picture, boxes, classes):
  np.testing.assert_array_equal(sample.size[row], picture.shape[:2])
  np.testing.assert_allclose(sample.image[row], on_canvas(picture), atol=1e-5)
  np.testing.assert_allclose(sample.boxes[row], boxes, atol=1e-5)
  np.testing.assert_array_equal(sample.classes[row], classes)


def found(candidates, picture):
  """The arguments for which the candidate is this picture."""
  fitting = [
    a for a, c in candidates if c.shape == picture.shape and np.allclose(c, picture, atol=1e-5)
  ]
  assert len(fitting) == 1, len(fitting)
  return fitting[0]


def test_the_empty_pipeline_changes_nothing():
  assert augment_boxes.compile(' ')(KEY, SAMPLE) is SAMPLE


def test_flip_mirrors_within_the_picture():
  new = compiled('flip(1.0)')(KEY, SAMPLE)
  for row, (picture, (_, width)) in enumerate(zip(pictures(SAMPLE), SIZES)):
    boxes = [[width - 9, 1, width - 2, 8], [0] * 4, [width - 18, 5, width - 6, 10]]
    check(new, row, picture[:, ::-1], boxes, [3, -1, 0])
  sometimes = [compiled('flip')(key, SAMPLE).image for key in jax.random.split(KEY, 8)]
  turned = (np.stack(sometimes) == new.image).all((2, 3, 4))
  assert 8 < turned.sum() < 24
  assert ((np.stack(sometimes) == SAMPLE.image).all((2, 3, 4)) == ~turned).all()


def test_scale_jitter_leaves_padding_around_what_it_makes_smaller():
  new = compiled('scale_jitter((0.5, 0.5))')(KEY, SAMPLE)
  for row, picture in enumerate(pictures(SAMPLE)):
    size = SIZES[row] // 2
    check(new, row, resized(picture, size), *moved(row, (0.5, 0.5), (0, 0), size))


def test_what_becomes_less_than_a_pixel_is_lost():
  boxes = SAMPLE.boxes.at[:, 0].set(jnp.array([2.0, 1.0, 3.9, 9.0]))
  new = compiled('scale_jitter((0.5, 0.5))')(KEY, SAMPLE._replace(boxes=boxes))
  np.testing.assert_array_equal(new.classes, [[-1, -1, 0]] * 4)
  assert not new.boxes[:, :2].any()


def test_scale_jitter_shows_a_part_of_what_it_makes_larger():
  new = compiled('scale_jitter((2.0, 2.0))')(KEY, SAMPLE)
  corners = []
  for row, (picture, got) in enumerate(zip(pictures(SAMPLE), pictures(new))):
    whole = resized(picture, 2 * SIZES[row])
    size = np.minimum(whole.shape[:2], (16, 24))
    room = itertools.product(*(range(n + 1) for n in whole.shape[:2] - size))
    parts = [((y, x), whole[y : y + size[0], x : x + size[1]]) for y, x in room]
    corner = found(parts, got)
    check(new, row, got, *moved(row, (2, 2), np.negative(corner), size))
    corners.append(corner)
  assert len(set(corners)) > 1


def test_scale_jitter_draws_its_factor_uniformly():
  many = jax.tree.map(lambda x: jnp.repeat(x[:1], 400, 0), SAMPLE)
  size = compiled('scale_jitter((0.25, 0.75))')(KEY, many).size
  factor = np.asarray(size) / SIZES[0]
  assert 0.25 <= factor.min() < 0.3 and 0.7 < factor.max() <= 0.75
  assert abs(factor.mean() - 0.5) < 0.03 and np.abs(factor[:, 0] - factor[:, 1]).max() < 0.06


def test_crop_enlarges_a_window_to_the_canvas():
  new = compiled('crop((0.5, 0.5), (1.0, 1.0))')(KEY, SAMPLE)
  lost = 0
  for row, (picture, got) in enumerate(zip(pictures(SAMPLE), pictures(new))):
    side = np.round(np.sqrt(0.5) * SIZES[row]).astype(int)
    size = np.round(side * min(16 / side[0], 24 / side[1])).astype(int)
    room = itertools.product(*(range(n + 1) for n in SIZES[row] - side))
    windows = (((y, x), picture[y : y + side[0], x : x + side[1]]) for y, x in room)
    corner = found([(c, resized(window, size)) for c, window in windows], got)
    boxes, classes = moved(row, size / side, -size / side * corner, size)
    check(new, row, got, boxes, classes)
    lost += (classes == -1).sum() - 1
  assert 0 < lost < 8


def test_crop_keeps_to_its_share_and_shape():
  many = jax.tree.map(lambda x: jnp.repeat(x[:1], 400, 0), noise(1))
  box = jnp.zeros((400, 3, 4)).at[:].set(jnp.array([0.0, 0.0, 24.0, 16.0]))
  new = compiled('crop((0.25, 0.64), (0.8, 1.25))')(KEY, many._replace(boxes=box))
  # the whole picture as a box is cut at the window: only what is not lost tells of its enlargement
  shape = np.asarray(new.size)[:, 1] / np.asarray(new.size)[:, 0] / 1.5
  assert 0.7 < shape.min() < 0.85 and 1.2 < shape.max() < 1.4
  assert (np.asarray(new.size) == [16, 24]).any(1).all()


def test_mosaic_puts_four_pictures_around_a_point():
  seen = set()
  for seed, row in itertools.product(range(3), range(4)):
    new = compiled('mosaic((1.0, 1.0), fill=0.25)')(jax.random.key(seed), SAMPLE)
    others = [pictures(SAMPLE)[(row + step) % 4] for step in range(4)]
    points = itertools.product(range(-8, 25), range(-12, 37))
    point = found([(p, meeting_at(p, others)) for p in points], np.asarray(new.image[row]))
    objects = []
    for step, (above, left) in enumerate(((1, 1), (1, 0), (0, 1), (0, 0))):
      other = (row + step) % 4
      shift = np.array(point) - np.array([above, left]) * SIZES[other]
      boxes, classes = moved(other, (1, 1), shift, (16, 24))
      objects += [(tuple(b), c) for b, c in zip(boxes, classes) if c >= 0]
    area = sorted(((b[2] - b[0]) * (b[3] - b[1]) for b, _ in objects), reverse=True)
    rows = zip(np.asarray(new.boxes[row]), np.asarray(new.classes[row]))
    kept = [(tuple(b), c) for b, c in rows if c >= 0]
    assert len(kept) == min(3, len(objects)) and set(kept) <= set(objects)
    np.testing.assert_allclose([(b[2] - b[0]) * (b[3] - b[1]) for b, _ in kept], area[:3])
    np.testing.assert_array_equal(new.size[row], (16, 24))
    seen.add(len(objects) > 3)
  assert seen == {True, False}  # too many objects for three rows, and not


def meeting_at(point, others):
  plane = np.full((120, 120, 2), 0.25, np.float32)
  y, x = np.array(point) + 48
  for picture, above, left in zip(others, (1, 1, 0, 0), (1, 0, 1, 0)):
    h, w = picture.shape[:2]
    plane[y - above * h : y + (1 - above) * h, x - left * w : x + (1 - left) * w] = picture
  return plane[48:64, 48:72]


def test_mixup_is_the_mean_of_two_where_both_are():
  new = compiled('mixup((1.0, 1.0), fill=0.25)')(KEY, SAMPLE)
  turned = set()
  for row, got in enumerate(pictures(new)):
    one, two = pictures(SAMPLE)[row], pictures(SAMPLE)[row ^ 1]
    turn = found([(t, mean_of(one, two[:, :: -1 if t else 1])) for t in (False, True)], got)
    boxes = np.asarray(SAMPLE.boxes[row ^ 1])[[0, 2]]
    if turn:
      boxes[:, [0, 2]] = SIZES[row ^ 1][1] - boxes[:, [2, 0]]
    # the largest three: two of 60 pixels, the one of 49 that comes first
    expected = [SAMPLE.boxes[row][2], boxes[1], SAMPLE.boxes[row][0]]
    check(new, row, got, expected, [0, 0, 3])
    turned.add(turn)
  assert turned == {True, False}


def mean_of(one, two):
  h, w = np.maximum(one.shape, two.shape)[:2]
  stack = np.full((2, h, w, 2), np.nan, np.float32)
  for layer, picture in zip(stack, (one, two)):
    layer[: picture.shape[0], : picture.shape[1]] = picture
  counted = np.isfinite(stack).sum(0)
  return np.where(counted > 0, np.nansum(stack, 0) / np.maximum(counted, 1), 0.25)


@pytest.mark.parametrize('operation', ['mosaic', 'mixup'])
def test_what_is_not_chosen_stays(operation):
  new = compiled(f'{operation}(probability=0.0)')(KEY, SAMPLE)
  jax.tree.map(np.testing.assert_array_equal, new, SAMPLE)


def test_colour_does_not_see_the_padding():
  """The mean grey that contrast is about is the picture's: the padding would darken it."""
  sample = noise(3)._replace(size=jnp.full((4, 2), 10))
  got = compiled('color_jitter')(jax.random.fold_in(KEY, 1), sample)
  key = jax.random.fold_in(jax.random.fold_in(KEY, 1), 0)
  part = sample.image[:, :10, :10]
  expected, _ = policies.color_jitter(key, part, jnp.zeros((4, 1)))
  np.testing.assert_allclose(got.image[:, :10, :10], expected, atol=1e-5)
  np.testing.assert_array_equal(got.image[:, 10:], sample.image[:, 10:])
  jax.tree.map(np.testing.assert_array_equal, got[1:], sample[1:])


def test_hsv_jitter_moves_value_in_its_limits_half_of_the_time():
  flat = Sample(
    jnp.full((400, 1, 2, 3), 0.5),
    jnp.full((400, 2), 1),
    jnp.zeros((400, 1, 4)),
    -jnp.ones((400, 1), int),
  )
  image = compiled('hsv_jitter(value=0.2)')(KEY, flat).image
  assert (image[:, :, 1] == 0.5).all()  # padding
  value = np.asarray(image)[:, 0, 0].max(-1) - 0.5
  assert -0.2 <= value.min() < -0.19 and 0.19 < value.max() <= 0.2
  assert 0.4 < (np.abs(value) < 1e-6).mean() < 0.6
