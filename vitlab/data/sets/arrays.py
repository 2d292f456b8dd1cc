"""One .npz with `train_image`, `train_label`, `test_image`, `test_label`: your own arrays.

    np.savez('mine.npz', train_image=..., train_label=..., test_image=..., test_label=...)

Images are uint8 [examples, h, w] or [examples, h, w, channels], labels integers 0, 1, 2, ...
Other splits are pairs of the same kind (`val_image`, `val_label`).
"""

import pathlib
import zipfile
from collections.abc import Sequence

import numpy as np

from vitlab.data import Dataset
from vitlab.data.sources import labelled_arrays
from vitlab.errors import UserError


def make(
  path: str, num_classes: int | None = None, class_names: Sequence[str] | None = None
) -> Dataset:
  """Splits by the names in the file; everything is read into memory.

  Args:
    path: The .npz file.
    num_classes: As many as the training labels need, if not given.
    class_names: '0', '1', ..., if not given.

  Raises:
    UserError: no such file, not an .npz, missing or mismatched arrays, labels out of range.
  """
  content = _read(pathlib.Path(path).expanduser())
  splits = [key.removesuffix('_image') for key in content if key.endswith('_image')]
  expected = {f'{split}_{key}' for split in {*splits, 'train'} for key in ('image', 'label')}
  if missing := sorted(expected - set(content)):
    raise UserError(
      f'{path} lacks {", ".join(missing)}; it has {", ".join(content) or "nothing"}\n'
      'expected train_image, train_label, test_image and test_label'
    )
  pairs = {split: (content[f'{split}_image'], content[f'{split}_label']) for split in splits}
  return labelled_arrays(pairs, num_classes, class_names, str(path))


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
  if not path.is_file():
    raise UserError(f'{path} does not exist: expected an .npz file')
  try:
    file = np.load(path, allow_pickle=False)
    if isinstance(file, np.ndarray):
      raise UserError(f'{path} is a single array: expected an .npz, see numpy.savez')
    with file:
      return {key: file[key] for key in file.files}
  except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
    # Object arrays are pickles, which run code when they are read.
    raise UserError(
      f'{path} cannot be read as an .npz of plain arrays: {error}\n'
      'ragged lists make object arrays: give all images one size'
    ) from None
