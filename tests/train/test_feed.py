"""Batches come ahead of time, in order, and waiting is only counted when the devices idle."""

import threading
import time

import pytest

from vitlab.errors import UserError
from vitlab.train.feed import Feed


class Batches:
  """Numbers as batches; waits for `gate` before each, and knows whether it was closed."""

  def __init__(self, count, gate=None, error=None):
    self.count, self.gate, self.error, self.made, self.closed = count, gate, error, 0, False

  def __iter__(self):
    return self

  def __next__(self):
    if self.gate is not None:
      self.gate.wait()
    if self.made == self.count:
      if self.error:
        raise self.error
      raise StopIteration
    self.made += 1
    return self.made

  def close(self):
    self.closed = True


def test_order_and_end():
  with Feed(Batches(5), lambda batch: batch * 10) as feed:
    assert list(feed) == [10, 20, 30, 40, 50]
    with pytest.raises(StopIteration):
      feed.next()


def test_two_batches_are_made_ahead_and_no_more():
  batches = Batches(100)
  with Feed(batches, lambda batch: batch) as feed:
    assert feed.next() == 1
    deadline = time.time() + 10
    while batches.made < 3 and time.time() < deadline:
      time.sleep(0.01)
    time.sleep(0.05)
    assert batches.made == 3


def test_waiting_is_counted():
  gate = threading.Event()
  with Feed(Batches(1, gate), lambda batch: batch) as feed:
    threading.Timer(0.2, gate.set).start()
    assert feed.next() == 1
    assert feed.waited >= 0.1


def test_waiting_while_the_devices_work_is_not_counted():
  gate = threading.Event()

  class Busy:
    def block_until_ready(self):
      gate.set()
      time.sleep(0.3)

  with Feed(Batches(1, gate), lambda batch: batch) as feed:
    assert feed.next(busy=[Busy()]) == 1
    assert feed.waited < 0.2


def test_errors_come_through():
  with (
    Feed(Batches(1, error=UserError('unreadable')), lambda batch: batch) as feed,
    pytest.raises(UserError, match='unreadable'),
  ):
    list(feed)


def test_closing_ends_the_thread_and_the_batches():
  batches = Batches(100)
  feed = Feed(batches, lambda batch: batch)
  feed.next()
  feed.close()
  assert batches.closed
  assert not [t for t in threading.enumerate() if t.name.startswith('feed')]


def test_batches_that_cannot_be_closed():
  Feed(iter([1, 2]), lambda batch: batch).close()
