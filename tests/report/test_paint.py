"""Arrays as pictures: what is kept exactly, what is scaled, which colours stand for what."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from vitlab.report import paint


def decoded(url):
  kind, data = url.removeprefix('data:image/').split(';base64,')
  return kind, np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_a_small_photograph_is_kept_exactly():
  image = np.arange(8 * 6, dtype=np.uint8).reshape(8, 6, 1)
  kind, pixels = decoded(paint.photograph(image))
  np.testing.assert_array_equal(pixels, image[..., 0])
  assert kind == 'png'


def test_a_large_photograph_is_made_smaller():
  kind, pixels = decoded(paint.photograph(np.full((1200, 600, 3), 99, np.uint8)))
  assert (kind, pixels.shape) == ('jpeg', (256, 128, 3))


def test_heat_is_brightest_where_the_values_are():
  values = np.zeros((4, 4))
  values[1, 2] = 5.0
  for image in (np.zeros((8, 16, 1), np.uint8), np.zeros((300, 600, 3), np.uint8)):
    _, pixels = decoded(paint.heat(image, values, side=160))
    assert pixels.shape == (80, 160, 3)
    y, x = np.unravel_index(pixels.sum(-1).argmax(), (80, 160))
    assert 20 <= y < 40 and 80 <= x < 120


def test_signs_have_colours():
  _, pixels = decoded(paint.signed(np.array([[-2.0, 0.0, 2.0, 9.0]]), peak=2.0))
  negative, zero, positive, beyond = pixels[0].astype(int)
  assert negative[2] > negative[0] and positive[0] > positive[2]
  assert zero.min() > 230 and (beyond == positive).all()


def test_each_map_is_scaled_to_its_own_maximum():
  maps = np.array([[[0.0, 0.5]], [[-1.0, 3.0]], [[0.0, 0.0]], [[np.nan, 1.0]]])
  assert paint.scaled(maps).tolist() == [[[0, 255]], [[0, 255]], [[0, 0]], [[0, 255]]]


def test_packed_bytes_come_back():
  values = np.random.default_rng(0).integers(0, 256, 1300, np.uint8)
  kind, pixels = decoded(paint.pack(values))
  assert kind == 'png'
  np.testing.assert_array_equal(pixels.reshape(-1)[:1300], values)


def test_shrinking_takes_means_and_drops_no_pixel():
  values = np.random.default_rng(0).random((7, 10))
  found = paint.shrunk(values, side=4)
  assert found.shape == (3, 4)
  assert found[0, 0] == pytest.approx(values[:3, :3].mean())
  assert found[2, 3] == values[6, 9]
  assert paint.shrunk(values, side=10) is values
