"""From a split to batches that depend on nothing but (seed, global step).

So the step of a checkpoint is the state of the iterator: any process, with any number of worker
processes, continues at any step with exactly the batches it would have had. Grain schedules the
work; one of its elements is a whole batch, which in-memory splits gather at once.
"""

import contextlib
import functools
import math
from collections.abc import Iterator

import grain
import numpy as np
from absl import flags, logging

from vitlab.data import Example, Source
from vitlab.data import workers as workers_lib
from vitlab.data.batches import Batch, Steps
from vitlab.data.identity import digest_of
from vitlab.data.sources import describe
from vitlab.errors import UserError

_FOREVER = 2**60  # steps
_LOADED = 64  # examples that `Loaded` takes at a time


def train_batches(
  source: Source,
  *,
  batch_size: int,
  seed: int,
  start: int = 0,
  workers: int = 0,
  max_corrupt: float = 0.01,
  process_index: int = 0,
  process_count: int = 1,
) -> 'Batches':
  """This process's rows of the global batches of steps `start`, `start + 1`, ..., without end.

  Each epoch is a permutation of the split; the batches run on across its end, so every batch is
  full. Examples that differ in length are batched with their like (`order.batch_by_length`) and
  padded with zeros to one of the few lengths of the source; so are wide pictures, and tall ones.
  The rows of processes 0, 1, ... one after the other are the batch of a single process.

  Args:
    source: The split.
    batch_size: Examples in a global batch.
    seed: Of the order.
    start: The first step.
    workers: Processes that decode; 0 decodes in threads of this one. In-memory splits need none.
    max_corrupt: Stop when more than this fraction of the split turns out to be unreadable.
    process_index: Which rows, of `process_count` equal parts.
    process_count: Processes that share a global batch.

  Returns:
    An iterator of dicts of NumPy arrays: the keys of the examples, and `mask` (bool, False where
    the picture could not be read and is black instead). Close it when done.

  Raises:
    UserError: fewer examples than a batch, a batch that cannot be divided; while iterating, too
      many unreadable pictures.
  """
  if len(source) < batch_size:
    raise UserError(
      f'the training split has {len(source)} examples, fewer than one batch (batch_size='
      f'{batch_size})\nlower batch_size or take a larger split'
    )
  rows = _rows(batch_size, process_index, process_count)
  steps = Steps(source, batch_size, rows, seed, _FOREVER, threads=not workers)
  return Batches(source, steps, start, workers, max_corrupt)


def eval_batches(
  source: Source,
  *,
  batch_size: int,
  process_index: int = 0,
  process_count: int = 1,
  workers: int = 0,
  max_corrupt: float = 0.01,
) -> 'Batches':
  """One pass over a split in its order, as `train_batches` does the endless one.

  The last batch is filled up with zeros whose `mask` is False. `index` is the number of each
  example in the split: what is drawn for it in a prediction can depend on nothing else.
  """
  if not len(source):
    raise UserError('the split to evaluate is empty')
  rows = _rows(batch_size, process_index, process_count)
  length = math.ceil(len(source) / batch_size)
  steps = Steps(source, batch_size, rows, None, length, threads=not workers)
  return Batches(source, steps, 0, workers, max_corrupt)


class Loaded:
  """A split that is decoded when it is first used and then stays in memory: small, often read.

  What cannot be read is named once, and marked by a `mask` that the batches respect.
  """

  def __init__(self, source: Source):
    self._source = source

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> Example:
    return {key: array[index] for key, array in self.arrays.items()}

  @functools.cached_property
  def arrays(self) -> Batch:
    batches = list(eval_batches(self._source, batch_size=_LOADED, max_corrupt=1.0))
    keys = batches[0].keys() - {'index'}
    joined = {key: np.concatenate([batch[key] for batch in batches]) for key in keys}
    return {key: array[: len(self)] for key, array in joined.items()}

  def describe(self, index: int) -> str:
    return describe(self._source, index)

  def digest(self) -> str | None:
    return digest_of(self._source)


def _rows(batch_size: int, process_index: int, process_count: int) -> np.ndarray:
  """The rows of the global batch that are this process's."""
  if batch_size < 1 or batch_size % process_count:
    raise UserError(
      f'batch_size={batch_size} cannot be divided among {process_count} processes\n'
      f'take a positive multiple of {process_count}'
    )
  local = batch_size // process_count
  return np.arange(process_index * local, (process_index + 1) * local)


class Batches(Iterator[Batch]):
  """The batches of one process; counts and names the pictures that could not be read."""

  def __init__(self, source: Source, steps: Steps, start: int, workers: int, max_corrupt: float):
    self._source, self._steps, self._max_corrupt = source, steps, max_corrupt
    self.corrupt: set[int] = set()  # example numbers
    ahead = grain.ReadOptions(num_threads=2, prefetch_buffer_size=2)
    pipeline = grain.MapDataset.source(steps)[start:].to_iter_dataset(ahead)
    self._starting = contextlib.nullcontext
    if workers and not steps.in_memory:
      if not flags.FLAGS.is_parsed():  # grain reads absl flags, which a library cannot count on
        flags.FLAGS.mark_as_parsed()
      options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
      pipeline = pipeline.mp_prefetch(options, worker_init_fn=workers_lib.shield)
      self._starting = workers_lib.signals_held
    self._iterator = iter(pipeline)

  def __next__(self) -> Batch:
    if self._iterator is None:
      raise StopIteration
    with self._starting():
      batch, failures = next(self._iterator)
    for number, reason in failures:
      self._count(number, reason)
    return batch

  def _count(self, number: int, reason: str) -> None:
    if number in self.corrupt:
      return
    self.corrupt.add(number)
    name = describe(self._source, number)
    logging.warning('left out, unreadable: %s: %s', name, reason)
    if len(self.corrupt) > self._max_corrupt * len(self._source):
      raise UserError(
        f'{len(self.corrupt)} of {len(self._source)} examples are unreadable, more than '
        f'max_corrupt={self._max_corrupt} allows; the last is {name}: {reason}\n'
        'repair or remove them, or set --config.max_corrupt higher'
      )

  def close(self) -> None:
    """Ends threads and worker processes; the iterator is exhausted afterwards."""
    if self._iterator is not None:
      self._iterator.close()
      self._iterator = None
      self._steps.close()
