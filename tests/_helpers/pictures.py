"""Pictures for tests: a split that decodes without files, and encoded pictures of any kind."""

import io

import numpy as np
from PIL import Image

from vitlab.data.pictures import ImageError


class Noise:
  """40 random pictures [4, 3, 1] whose label is their number; some are damaged.

  Args:
    corrupt: Numbers of pictures that cannot be decoded.
    raises: number -> another error that reading it raises.
  """

  def __init__(self, length=40, corrupt=(), raises=None):
    self._length, self._corrupt, self._raises = length, set(corrupt), dict(raises or {})

  def __len__(self):
    return self._length

  def __getitem__(self, index):
    if index in self._corrupt:
      raise ImageError('damaged')
    if index in self._raises:
      raise self._raises[index]
    image = np.random.default_rng(index).integers(0, 256, (4, 3, 1), np.uint8)
    return dict(image=image, label=np.int32(index))

  def describe(self, index):
    return f'noise-{index}'


def encoded(picture, kind='PNG', **options):
  """A picture (array or PIL image) as the bytes of a file."""
  image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
  file = io.BytesIO()
  image.save(file, kind, **options)
  return file.getvalue()


def noise(*shape, seed=0, high=256, dtype=np.uint8):
  return np.random.default_rng(seed).integers(0, high, shape, dtype)


def smooth(height, width, shift=0):
  """A picture [h w 3] without fine detail, which survives JPEG and resizing."""
  y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
  waves = [np.sin(3 * x + shift), np.cos(2 * y - shift), np.sin(2 * x + 2 * y)]
  return np.round(127.5 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)


def kinds():
  """Name -> the bytes of a file: all kinds that libraries treat in ways of their own."""
  photo = Image.fromarray((smooth(90, 131) // 2 + noise(90, 131, 3) // 2).astype(np.uint8))
  clear = photo.copy()
  clear.putalpha(Image.fromarray(noise(90, 131, seed=1)))
  palette = photo.quantize(60)
  turned = Image.Exif()
  turned[0x0112] = 6
  deep = noise(90, 131, high=2**16, dtype=np.uint16)
  return {
    'rgb': encoded(photo),
    'grey': encoded(photo.convert('L')),
    'rgba': encoded(clear),
    'grey_alpha': encoded(clear.convert('LA')),
    'palette': encoded(palette, transparency=3),
    'sixteen_bits': encoded(Image.fromarray(deep)),
    'cmyk': encoded(photo.convert('CMYK'), 'JPEG', quality=90),
    'exif': encoded(photo, 'JPEG', exif=turned, quality=90),
    'large_jpeg': encoded(photo.resize((700, 500)), 'JPEG', quality=90),
    'elongated': encoded(photo.resize((400, 7))),
    'tall': encoded(photo.resize((5, 300))),
    'tiny': encoded(photo.resize((2, 5))),
    'one_bit': encoded(photo.convert('1')),
    'exact': encoded(photo.resize((48, 48))),
  }
