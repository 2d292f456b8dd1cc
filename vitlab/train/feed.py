"""Batches on the devices before they are asked for."""

import collections
import concurrent.futures
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

DEPTH = 2  # batches on the devices beside those in use
AHEAD = 2  # steps that the devices may have in hand before the loop waits for the oldest


class Feed(Iterator[Any]):
  """Takes batches and moves them to the devices in a thread; a context manager.

  Args:
    batches: NumPy batches; closed with the feed if it can be.
    put: moves a batch to the devices.

  Attributes:
    waited: Seconds in which the devices had nothing to do because no batch was there.
  """

  def __init__(
    self,
    batches: Iterator[Mapping[str, np.ndarray]],
    put: Callable[[Mapping[str, np.ndarray]], Any],
  ):
    self.waited = 0.0
    self._batches, self._put = batches, put
    # One thread: the batches keep their order. Not grain's own prefetch, whose close can hang.
    self._pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix='feed')
    self._ahead = collections.deque(self._pool.submit(self._load) for _ in range(DEPTH))

  def __next__(self) -> Any:
    return self.next()

  def next(self, busy: Any = ()) -> Any:
    """The next batch.

    Args:
      busy: what the devices are computing now. Until it is done, waiting for a batch costs nothing
        and does not count as waited.

    Raises:
      StopIteration: the batches have ended. Whatever else the batches raise.
    """
    if not self._ahead:
      raise StopIteration
    future = self._ahead.popleft()
    if not future.done():
      jax.block_until_ready(busy)
      start = time.perf_counter()
      concurrent.futures.wait([future])
      self.waited += time.perf_counter() - start
    batch = future.result()
    if batch is None:
      self._ahead.clear()
      raise StopIteration
    self._ahead.append(self._pool.submit(self._load))
    return batch

  def close(self) -> None:
    """Ends the thread, then the batches with their worker processes."""
    self._ahead.clear()
    self._pool.shutdown(cancel_futures=True)
    with contextlib.suppress(AttributeError):
      self._batches.close()

  def __enter__(self) -> 'Feed':
    return self

  def __exit__(self, *_: object) -> None:
    self.close()

  def _load(self) -> Any:
    batch = next(self._batches, None)
    return None if batch is None else self._put(batch)
