"""Pictures for tests: a split that decodes without files, and encoded pictures of any kind."""

import io

import numpy as np
from PIL import Image

from vitlab.data._images import ImageError


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
