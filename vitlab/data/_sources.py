"""The kinds of split that data sets are made of: in memory, encoded pictures, parts of others."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from vitlab.data import Example, Source
from vitlab.data._images import preprocess
from vitlab.errors import UserError


class Arrays:
  """A split in memory: key -> array, examples along the first axis."""

  def __init__(self, arrays: Mapping[str, np.ndarray]):
    self.arrays = dict(arrays)

  def __len__(self) -> int:
    return len(next(iter(self.arrays.values())))

  def __getitem__(self, index: int) -> Example:
    return {key: array[index] for key, array in self.arrays.items()}


class Pictures:
  """A split of encoded pictures, decoded when they are asked for.

  Args:
    read: number of a file -> its bytes; picklable and thread-safe.
    name: number of a file -> its name, for error messages.
    files: The numbers of this split's files.
    labels: Their labels.
    image: Arguments of `preprocess`.
  """

  def __init__(
    self,
    read: Callable[[int], bytes],
    name: Callable[[int], str],
    files: Int[np.ndarray, ' b'],
    labels: Int[np.ndarray, ' b'],
    image: Mapping[str, Any],
  ):
    self._read, self._name, self._image = read, name, dict(image)
    self._files, self._labels = files, labels.astype(np.int32)

  def __len__(self) -> int:
    return len(self._files)

  def __getitem__(self, index: int) -> Example:
    image = preprocess(self._read(int(self._files[index])), **self._image)
    return dict(image=image, label=self._labels[index])

  def describe(self, index: int) -> str:
    return self._name(int(self._files[index]))


class Selection:
  """Consecutive pieces (source, start, stop) of other splits, one after the other."""

  def __init__(self, pieces: Sequence[tuple[Source, int, int]]):
    self._pieces = list(pieces)
    self._ends = np.cumsum([stop - start for _, start, stop in pieces])

  def __len__(self) -> int:
    return int(self._ends[-1])

  def __getitem__(self, index: int) -> Example:
    source, inner = self._find(index)
    return source[inner]

  def describe(self, index: int) -> str:
    return describe(*self._find(index))

  def _find(self, index: int) -> tuple[Source, int]:
    piece = int(np.searchsorted(self._ends, index, side='right'))
    source, start, stop = self._pieces[piece]
    return source, int(index - self._ends[piece] + stop)


def describe(source: Source, index: int) -> str:
  """The name of an example for messages: its file, or its number."""
  named = getattr(source, 'describe', None)
  return named(index) if named else f'example {index}'


def check_labels(labels: Mapping[str, np.ndarray], num_classes: int | None, where: str) -> int:
  """The number of classes, once the labels of every split have been found good.

  Args:
    labels: By split, one of them 'train'; integers, one a picture.
    num_classes: What the user says, or None: as many as the training labels need.
    where: The data set, for messages.

  Raises:
    UserError: an empty split, a label out of range, a class without training example.
  """
  for split, values in labels.items():
    if not len(values):
      raise UserError(f'{where}: split {split!r} is empty; give it examples or leave it out')
  classes = num_classes or int(labels['train'].max()) + 1
  for split, values in labels.items():
    wrong = np.flatnonzero((values < 0) | (values >= classes))
    if len(wrong):
      raise UserError(
        f'{where}: {len(wrong)} labels of split {split!r} are out of range, the first is '
        f'{values[wrong[0]]} at example {wrong[0]}\npossible are 0 to {classes - 1} '
        f'(num_classes={classes})'
      )
  missing = np.setdiff1d(np.arange(classes), labels['train'])
  if len(missing):
    raise UserError(
      f'{where}: {len(missing)} of {classes} classes have no training example, the first is '
      f'{missing[0]}\nnumber the labels 0, 1, 2, ... without gaps'
    )
  return classes
