"""Pictures the right way up, and their size from the head of the file."""

import numpy as np
import pytest
from _helpers.pictures import encoded, smooth
from PIL import Image

from vitlab.data.opened import ImageError, measure, open_picture, stored_size
from vitlab.data.pictures import preprocess


def same(picture, channels=3, size=(6, 5), **keywords):
  return preprocess(picture, image_size=size, channels=channels, **keywords)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
def test_exif_rotation(orientation, kind):
  """Every stored orientation of one scene gives the same upright picture."""
  upright = smooth(16, 8)
  stored = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
  }[orientation](upright)
  exif = Image.Exif()
  exif[0x0112] = orientation
  options = dict(quality=100, subsampling=0) if kind == 'JPEG' else {}
  picture = encoded(np.ascontiguousarray(stored), kind, exif=exif, **options)
  difference = same(picture, size=(16, 8)).astype(int) - upright
  assert np.abs(difference).max() <= (12 if kind == 'JPEG' else 0)


@pytest.mark.filterwarnings('ignore:Corrupt EXIF')
def test_damaged_exif_does_not_matter():
  picture = encoded(smooth(16, 8), 'JPEG', exif=b'Exif\x00\x00II*\x00\xff\xff\xff\xffrubbish')
  assert same(picture, size=(16, 8)).shape == (16, 8, 3)


@pytest.mark.parametrize('orientation', range(1, 9))
def test_the_size_of_an_upright_picture(orientation):
  exif = Image.Exif()
  exif[0x0112] = orientation
  picture = encoded(smooth(16, 8), 'JPEG', exif=exif)
  assert measure(picture) == ((8, 16) if orientation > 4 else (16, 8))


def test_the_size_is_that_of_the_file_however_far_it_was_reduced():
  opened = open_picture(encoded(smooth(333, 501), 'JPEG'), enough=50)
  assert opened.size < (501, 333) and stored_size(opened) == (333, 501)
  assert stored_size(opened.resize((20, 10))) == (10, 20)  # a copy knows of no file


@pytest.mark.parametrize(
  'content, words',
  [
    (b'', '^empty: zero bytes$'),
    (b'no picture', '^not an image, or of a format that Pillow does not know$'),
    (encoded(smooth(16, 8))[:20], '^cannot be decoded: '),
  ],
)
def test_no_picture_has_no_size(content, words):
  with pytest.raises(ImageError, match=words):
    measure(content)
