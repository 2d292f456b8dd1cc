"""1,797 handwritten digits, 8x8 grey, that come with scikit-learn: real images without a download.

The test half of the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak,
1998). The split is ours: 1,437 training and 360 test images, stratified, the same for everybody.
"""

import importlib.util
import pathlib

import numpy as np

from vitlab.data import Dataset
from vitlab.data.order import stratified
from vitlab.data.sources import Arrays
from vitlab.errors import UserError

_TRAIN = 1437


def make() -> Dataset:
  """Splits 'train' and 'test', images uint8 [8, 8, 1]."""
  table = np.loadtxt(_path(), delimiter=',', dtype=np.uint8)
  image = (table[:, :64].astype(np.uint16) * 255 // 16).astype(np.uint8).reshape(-1, 8, 8, 1)
  label = table[:, 64].astype(np.int32)
  order = stratified(label)
  parts = dict(train=order[:_TRAIN], test=order[_TRAIN:])
  return Dataset(
    splits={split: Arrays(dict(image=image[at], label=label[at])) for split, at in parts.items()},
    facts=dict(
      num_classes=10,
      class_names=[str(digit) for digit in range(10)],
      image=dict(image_size=(8, 8), channels=1, resize='squash'),
    ),
  )


def _path() -> pathlib.Path:
  # The file and not sklearn.datasets.load_digits, which takes a second of imports at every start.
  spec = importlib.util.find_spec('sklearn')
  path = spec and pathlib.Path(spec.origin).parent / 'datasets' / 'data' / 'digits.csv.gz'
  if not path or not path.exists():
    raise UserError('data set digits: scikit-learn is not installed\npip install scikit-learn')
  return path
