"""MNIST and the sets made in its image (Fashion-MNIST, KMNIST, EMNIST): IDX files in a folder.

The format (LeCun, 1998): two zero bytes, the type (8 is uint8), the number of axes, their sizes as
big-endian int32, the values in C order; often gzipped. Files are found by their published names,
`train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte.gz`, or anything like them.
"""

import gzip
import pathlib
import zlib
from collections.abc import Sequence

import numpy as np

from vitlab.data import Dataset
from vitlab.data.archive import is_clutter
from vitlab.data.sources import labelled_arrays
from vitlab.errors import UserError

_UINT8 = 8
_SPLITS = dict(train=('train',), test=('t10k', 'test'))  # words in the file names


def make(
  path: str, num_classes: int | None = None, class_names: Sequence[str] | None = None
) -> Dataset:
  """Splits 'train' and 'test', images uint8 [h, w, 1]; everything is read into memory.

  Args:
    path: The folder with the four files.
    num_classes: As many as the training labels need, if not given.
    class_names: '0', '1', ..., if not given.

  Raises:
    UserError: a file is missing, ambiguous or damaged; labels out of range.
  """
  folder = pathlib.Path(path).expanduser()
  if not folder.is_dir():
    raise UserError(f'{path} is not a folder: expected one with train-images-idx3-ubyte[.gz], ...')
  pairs = {
    split: tuple(read(_find(folder, words, kind)) for kind in ('images', 'labels'))
    for split, words in _SPLITS.items()
  }
  return labelled_arrays(pairs, num_classes, class_names, str(path))


def _find(folder: pathlib.Path, words: Sequence[str], kind: str) -> pathlib.Path:
  found = sorted(
    file
    for file in folder.iterdir()
    if not is_clutter(file.name)
    and any(word in file.name for word in words)
    and kind in file.name
    and file.name.removesuffix('.gz').endswith('ubyte')
  )
  # The same file raw and gzipped is fine; EMNIST's six sets in one folder are not.
  if len({file.name.removesuffix('.gz') for file in found}) != 1:
    names = ', '.join(file.name for file in found) or 'none'
    raise UserError(
      f'{folder}: expected one file *{words[0]}*{kind}*ubyte[.gz], found {names}\n'
      'fetch it, or put every data set into a folder of its own'
    )
  return found[0]


def read(path: pathlib.Path) -> np.ndarray:
  """The array of uint8 in one IDX file, raw or gzipped.

  Raises:
    UserError: not such a file, or cut short.
  """
  try:
    content = path.read_bytes()
    if content[:2] == b'\x1f\x8b':
      content = gzip.decompress(content)
  except (OSError, EOFError, zlib.error) as error:
    raise UserError(f'{path} cannot be read: {error}\nfetch it again') from None
  if len(content) < 4 or content[:3] != bytes([0, 0, _UINT8]):
    raise UserError(f'{path} is not an IDX file of uint8: it starts with {content[:4].hex(" ")}')
  axes = content[3]
  shape = np.frombuffer(content, '>i4', count=min(axes, (len(content) - 4) // 4), offset=4)
  start = 4 + 4 * axes
  if len(shape) < axes or len(content) - start != np.prod(shape.astype(np.int64)):
    raise UserError(f'{path} is damaged: {len(content)} bytes do not hold {shape.tolist()} values')
  return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
