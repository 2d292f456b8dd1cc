"""A small split that decodes, without files: for tests of pipelines, also in worker processes."""

import numpy as np

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
