"""Random access to batches: what each holds, read from whatever kind of split there is."""

import concurrent.futures
import os
from collections.abc import Sequence

import numpy as np

from vitlab.data import Source
from vitlab.data.fitted import Size, covering
from vitlab.data.order import epoch_shuffle
from vitlab.data.pictures import ImageError
from vitlab.data.sources import describe
from vitlab.errors import UserError

Batch = dict[str, np.ndarray]
Extent = int | Size | None  # of examples that differ in it: a length, or (height, width)
Shapes = dict[str, tuple[tuple[int, ...], np.dtype]]
Failures = list[tuple[int, str]]  # (row or number of an example, what is wrong with it)

_TRIES = 100  # examples that may be unreadable before the first good one
_CHUNK = 8  # examples a thread takes at a time


def alike(source: Source) -> bool:
  """Whether all batches of the source have the same shapes."""
  return len(_extents(source)) < 2


def extent(source: Source, numbers: np.ndarray) -> Extent:
  """The least length, or height and width, of a batch of the source that holds the examples."""
  if hasattr(source, 'buckets'):
    longest = int(source.lengths[numbers].max())
    return source.buckets[int(np.searchsorted(source.buckets, longest))]
  return covering(source.shapes, source.sizes[numbers]) if hasattr(source, 'shapes') else None


def shapes(source: Source, extent: Extent = None) -> Shapes:
  """Shape and dtype of every key of an example, as batches hold it.

  Args:
    source: A split.
    extent: Of examples that differ in it, see `extent`; by default the largest that there is.
  """
  return _extended(_shapes(source), extent or next(reversed(_extents(source)), None))


def _extents(source: Source) -> Sequence[int | Size]:
  """The extents that batches can have, ascending; none where all examples have one shape."""
  return getattr(source, 'buckets', None) or getattr(source, 'shapes', None) or ()


def _extended(example: Shapes, extent: Extent) -> Shapes:
  """Shapes with rows of this length, or maps of this height and width."""
  if extent is None:
    return example
  if isinstance(extent, int):
    return {key: ((extent, *s[1:]) if s else s, dtype) for key, (s, dtype) in example.items()}
  return {
    key: ((*extent, *s[2:]) if len(s) == 3 else s, dtype) for key, (s, dtype) in example.items()
  }


class Steps:
  """Random access to the batches: element k is this process's part of global step k.

  Picklable, so that worker processes have it too; an element is (batch, failures), so that what
  they could not read is counted in the main process.
  """

  def __init__(
    self,
    source: Source,
    batch_size: int,
    rows: np.ndarray,
    seed: int | None,
    length: int,
    threads: bool,
  ):
    self._source, self._batch_size, self._rows = source, batch_size, rows
    self._seed, self._length = seed, length
    ragged = hasattr(source, 'buckets')
    self._at_once = not ragged and (hasattr(source, 'arrays') or hasattr(source, 'gather'))
    self.in_memory = ragged or self._at_once
    self._example = {} if self._at_once else _shapes(source)
    self._pool = _pool() if threads and not self.in_memory else None
    self._map = self._pool.map if self._pool else map

  def __len__(self) -> int:
    return self._length

  def __getitem__(self, step: int) -> tuple[Batch, Failures]:
    everyone = self._numbers(step)
    numbers = everyone[self._rows[self._rows < len(everyone)]]  # the last batch may not be full
    if self._at_once:
      batch, failures = self._gather(numbers)
    else:  # as large as the largest of the global batch needs it
      batch, failures = self._read(numbers, extent(self._source, everyone))
    mask = np.arange(len(self._rows)) < len(numbers)
    mask[[row for row, _ in failures]] = False
    if self._seed is None:  # of an evaluation, where an example keeps its number
      batch['index'] = (step * self._batch_size + self._rows).astype(np.int32)
    return {**batch, 'mask': mask}, [(int(numbers[row]), reason) for row, reason in failures]

  def _numbers(self, step: int) -> np.ndarray:
    """The examples of a global batch."""
    first, length = step * self._batch_size, len(self._source)
    if self._seed is None:
      return np.arange(first, min(first + self._batch_size, length))
    if hasattr(self._source, 'order'):
      return self._source.order(step, self._batch_size, self._seed)
    return epoch_shuffle(first + np.arange(self._batch_size), length, self._seed)

  def _gather(self, numbers: np.ndarray) -> tuple[Batch, Failures]:
    """As `_read`; a `Loaded` split says by its own `mask` what could not be."""
    if hasattr(self._source, 'gather'):
      found = self._source.gather(numbers)
    else:
      found = {key: array[numbers] for key, array in self._source.arrays.items()}
    batch = {key: _grow(array, len(self._rows)) for key, array in found.items()}
    readable = batch.pop('mask', np.True_)
    unreadable = np.flatnonzero(~readable)
    return batch, [(int(row), 'unreadable') for row in unreadable if row < len(numbers)]

  def _read(self, numbers: np.ndarray, extent: Extent) -> tuple[Batch, Failures]:
    """The examples, zeros behind their ends, and (row, reason) where one could not be read."""
    batch = {
      key: np.zeros((len(self._rows), *shape), dtype)
      for key, (shape, dtype) in _extended(self._example, extent).items()
    }

    def fill(start: int) -> Failures:
      failures = []
      for row in range(start, min(start + _CHUNK, len(numbers))):
        try:
          example = self._source[int(numbers[row])]
        except ImageError as error:
          failures.append((row, str(error)))
          continue
        for key, value in example.items():
          batch[key][row, *map(slice, np.shape(value))] = value
      return failures

    chunks = self._map(fill, range(0, len(numbers), _CHUNK))
    return batch, [failure for chunk in chunks for failure in chunk]

  def close(self) -> None:
    if self._pool is not None:
      self._pool.shutdown(wait=False, cancel_futures=True)


def _pool() -> concurrent.futures.ThreadPoolExecutor:
  cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
  return concurrent.futures.ThreadPoolExecutor(cores, thread_name_prefix='decode')


def _grow(array: np.ndarray, rows: int) -> np.ndarray:
  missing = rows - len(array)
  return np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1)) if missing else array


def _shapes(source: Source) -> Shapes:
  """Of the first example that can be read."""
  for number in range(min(_TRIES, len(source))):
    try:
      example = source[number]
    except ImageError as error:
      failure = f'{describe(source, number)}: {error}'
    else:
      return {k: (np.shape(v), np.asarray(v).dtype) for k, v in example.items()}
  raise UserError(f'none of the first {number + 1} pictures can be read; the last is {failure}')
