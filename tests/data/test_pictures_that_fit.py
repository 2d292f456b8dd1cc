"""Pictures that keep their aspect, and the pixels that their boxes were drawn on."""

import numpy as np
import pytest
from _helpers.pictures import encoded, smooth
from PIL import Image

from vitlab.data.opened import measure
from vitlab.data.pictures import ImageError, fit, preprocess
from vitlab.errors import UserError


@pytest.mark.parametrize(('shape', 'size'), [((96, 128), (48, 64)), ((200, 50), (64, 16))])
def test_fit_keeps_the_aspect_at_the_upper_left(shape, size):
  picture = smooth(*shape)
  image, full = fit(picture, (48, 64), interpolation='bicubic')
  assert image.shape == (*size, 3) and full == shape
  expected = preprocess(picture, image_size=size, resize='squash')
  np.testing.assert_array_equal(image, expected)
  padded = preprocess(picture, image_size=(48, 64), resize='fit')
  assert padded.shape == ((64, 48, 3) if shape[0] > shape[1] else (48, 64, 3))
  np.testing.assert_array_equal(padded[: size[0], : size[1]], expected)
  assert padded.sum() == expected.sum()


def test_fit_of_a_reduced_jpeg_knows_its_full_size():
  image, full = fit(encoded(smooth(333, 501), 'JPEG'), (24, 32))
  assert image.shape == (21, 32, 3) and full == (333, 501)
  grey, _ = fit(encoded(smooth(333, 501), 'JPEG'), (24, 32), channels=1)
  assert grey.shape == (21, 32, 1)


def turned(orientation=6):
  """A picture that lies on its side in the file: 20 x 10 stored, 10 x 20 upright."""
  exif = Image.Exif()
  exif[0x0112] = orientation
  return encoded(smooth(20, 10), exif=exif)


@pytest.mark.parametrize('drawn', [None, (10, 20)])
def test_boxes_are_drawn_on_upright_pictures(drawn):
  image, full = fit(turned(), (10, 20), drawn=drawn)
  assert full == (10, 20) == measure(turned())
  np.testing.assert_array_equal(image, np.rot90(smooth(20, 10), -1))


def test_boxes_that_were_drawn_on_the_stored_pixels_keep_them():
  image, full = fit(turned(), (10, 20), drawn=(20, 10))
  assert full == (20, 10)
  np.testing.assert_array_equal(image, smooth(20, 10))


def test_a_picture_of_another_size_than_its_annotation_is_refused():
  with pytest.raises(ImageError, match=r'10 x 20 pixels.*annotation says 30 x 40'):
    fit(turned(), (10, 20), drawn=(30, 40))


@pytest.mark.parametrize(
  'wrong', [dict(image_size=(64, 48)), dict(crop_fraction=0.5), dict(library='timm')]
)
def test_fit_refuses_what_is_not_for_it(wrong):
  with pytest.raises(UserError, match='short, long'):
    preprocess(smooth(6, 5), **{'image_size': (48, 64), 'resize': 'fit', **wrong})
