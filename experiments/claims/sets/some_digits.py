"""The bundled digits, or some classes of them, as they are or larger."""

import numpy as np

from vitlab.data import Dataset
from vitlab.data.sets import digits
from vitlab.data.sources import Arrays
from vitlab.errors import UserError


def make(first: int = 0, last: int = 9, scale: int = 1) -> Dataset:
  """Splits 'train' and 'test', in the order of the whole set.

  Args:
    first: The first class, which becomes class 0.
    last: The last class.
    scale: How often each pixel is repeated, downwards and to the right.

  Raises:
    UserError: no such classes, or no pixels.
  """
  if not 0 <= first < last <= 9 or scale < 1:
    raise UserError(f'data set some_digits: first={first}, last={last}, scale={scale} cannot be')
  whole = digits.make()
  return Dataset(
    splits={name: _some(split.arrays, first, last, scale) for name, split in whole.splits.items()},
    facts=dict(
      num_classes=last - first + 1,
      class_names=[str(digit) for digit in range(first, last + 1)],
      image=dict(image_size=(8 * scale, 8 * scale), channels=1, resize='squash'),
    ),
  )


def _some(arrays: dict[str, np.ndarray], first: int, last: int, scale: int) -> Arrays:
  """Of a split."""
  image, label = arrays['image'], arrays['label']
  chosen = (label >= first) & (label <= last)
  image = image[chosen].repeat(scale, axis=1).repeat(scale, axis=2)
  return Arrays(dict(image=image, label=label[chosen] - first))
