"""The kinds of split that data sets are made of: in memory, encoded pictures, parts of others."""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from vitlab.data import BESIDE, Dataset, Example, Source
from vitlab.data.identity import digest, digest_of, digest_of_arrays
from vitlab.data.order import batch_by_length
from vitlab.data.pictures import preprocess
from vitlab.errors import UserError


class Arrays:
  """A split in memory: key -> array, examples along the first axis."""

  def __init__(self, arrays: Mapping[str, np.ndarray]):
    self.arrays = dict(arrays)

  def __len__(self) -> int:
    return len(next(iter(self.arrays.values())))

  def __getitem__(self, index: int) -> Example:
    return {key: array[index] for key, array in self.arrays.items()}

  def digest(self) -> str:
    return digest_of_arrays(self.arrays)


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
    picture = self._read(int(self._files[index]))
    image = preprocess(picture, name=self.describe(index), **self._image)
    return dict(image=image, label=self._labels[index])

  def describe(self, index: int) -> str:
    return self._name(int(self._files[index]))

  def digest(self) -> str:
    """Of the names of the files, wherever they lie, and their labels: millions are not opened."""
    names = [self.describe(i) for i in range(len(self))]
    common = len(os.path.commonprefix([min(names), max(names)])) if names else 0
    return digest('\n'.join(name[common:] for name in names), self._labels)


class Selection:
  """Consecutive pieces (source, start, stop) of other splits, one after the other."""

  def __init__(self, pieces: Sequence[tuple[Source, int, int]]):
    self._pieces = list(pieces)
    self._ends = np.cumsum([stop - start for _, start, stop in pieces])
    for name in BESIDE:
      if all(hasattr(source, name) for source, _, _ in pieces):
        setattr(self, name, functools.partial(self._beside, name))

  def __len__(self) -> int:
    return int(self._ends[-1])

  def __getitem__(self, index: int) -> Example:
    source, inner = self._find(index)
    return source[inner]

  def describe(self, index: int) -> str:
    return describe(*self._find(index))

  def digest(self) -> str | None:
    found = [(digest_of(source), start, stop) for source, start, stop in self._pieces]
    return None if any(one is None for one, *_ in found) else digest(repr(found))

  def _beside(self, name: str, index: int) -> Any:
    source, inner = self._find(index)
    return getattr(source, name)(inner)

  def _find(self, index: int) -> tuple[Source, int]:
    piece = int(np.searchsorted(self._ends, index, side='right'))
    source, start, stop = self._pieces[piece]
    return source, int(index - self._ends[piece] + stop)


class ByLength:
  """The order of a split of rows of different `lengths`: batches hold similar ones."""

  lengths: Int[np.ndarray, ' examples']

  def order(self, step: int, batch_size: int, seed: int) -> Int[np.ndarray, ' b']:
    return batch_by_length(step, batch_size, self.lengths, seed)


class RaggedSelection(ByLength, Selection):
  """A `Selection` from splits of rows of different lengths."""

  def __init__(self, pieces: Sequence[tuple[Source, int, int]]):
    super().__init__(pieces)
    self.lengths = np.concatenate([source.lengths[i:j] for source, i, j in pieces])
    self.buckets = tuple(sorted({n for source, _, _ in pieces for n in source.buckets}))


def describe(source: Source, index: int) -> str:
  """The name of an example for messages: its file, or its number."""
  named = getattr(source, 'describe', None)
  return named(index) if named else f'example {index}'


def labelled_arrays(
  pairs: Mapping[str, tuple[np.ndarray, np.ndarray]],
  num_classes: int | None,
  class_names: Sequence[str] | None,
  where: str,
) -> Dataset:
  """A data set in memory from (images, labels) per split, one of them 'train'.

  Raises:
    UserError: arrays that do not fit, an empty split, a label out of range, a class without
      training example; names `where`.
  """
  images, labels = {}, {}
  for split, (image, label) in pairs.items():
    images[split] = _check_images(image, f'{where}: split {split!r}')
    labels[split] = _check_numbers(label, len(image), f'{where}: split {split!r}')
  sizes = {image.shape[1:] for image in images.values()}
  if len(sizes) > 1:
    raise UserError(f'{where}: the splits have images of different sizes, {sorted(sizes)}')
  if class_names is not None:
    num_classes = num_classes or len(class_names)
  classes = _check_classes(labels, num_classes, where)
  names = list(class_names) if class_names is not None else [str(i) for i in range(classes)]
  if len(names) != classes:
    raise UserError(f'{where}: {len(names)} class_names for {classes} classes')
  height, width, channels = sizes.pop()
  return Dataset(
    splits={s: Arrays(dict(image=images[s], label=labels[s].astype(np.int32))) for s in pairs},
    facts=dict(
      num_classes=classes,
      class_names=names,
      image=dict(image_size=(height, width), channels=channels, resize='squash'),
    ),
  )


def _check_images(image: np.ndarray, where: str) -> np.ndarray:
  """Images as [b h w c]."""
  if image.dtype != np.uint8:
    raise UserError(f'{where} has images of {image.dtype}\nexpected uint8, 0 to 255: convert them')
  if image.ndim == 3:
    image = image[..., None]
  if image.ndim != 4 or image.shape[3] not in (1, 3) or not all(image.shape[1:]):
    raise UserError(
      f'{where} has images of shape {list(image.shape)}\n'
      'expected [examples, h, w] or [examples, h, w, 1 or 3]'
    )
  if not len(image):
    raise UserError(f'{where} is empty; give it examples or leave it out')
  return image


def _check_numbers(label: np.ndarray, examples: int, where: str) -> np.ndarray:
  if label.dtype.kind not in 'iu' or label.shape != (examples,):
    raise UserError(
      f'{where} has labels {label.dtype}{list(label.shape)} for {examples} images\n'
      f'expected one integer an image, [{examples}]'
    )
  return label.astype(np.int64)


def _check_classes(labels: Mapping[str, np.ndarray], num_classes: int | None, where: str) -> int:
  """The number of classes, if every label is one of them and every class is trained."""
  classes = num_classes or int(labels['train'].max()) + 1
  for split, values in labels.items():
    wrong = np.flatnonzero((values < 0) | (values >= classes))
    if len(wrong):
      raise UserError(
        f'{where}: {len(wrong)} labels of split {split!r} are out of range, the first is '
        f'{values[wrong[0]]} at example {wrong[0]}\n'
        f'possible are 0 to {classes - 1} (num_classes={classes})'
      )
  missing = np.setdiff1d(np.arange(classes), labels['train'])
  if len(missing):
    raise UserError(
      f'{where}: {len(missing)} of {classes} classes have no training example, the first is '
      f'{missing[0]}\nnumber the labels 0, 1, 2, ... without gaps'
    )
  return classes
