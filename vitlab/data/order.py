"""In which order examples are visited: a pure function of (seed, position).

Random numbers come from one hash (SplitMix64, Steele et al. 2014, doi:10.1145/2660193.2660195) and
not from NumPy's generators, whose streams may change between versions: a split or an order of
training made today can be made again.
"""

import functools

import numpy as np
from jaxtyping import Bool, Float, Int, UInt64


def epoch_shuffle(
  positions: Int[np.ndarray, ' b'], length: int, seed: int
) -> Int[np.ndarray, ' b']:
  """Example numbers at the positions 0, 1, 2, ... of an endless walk, reshuffled every epoch.

  Positions `e * length ... (e + 1) * length - 1` hold each of `range(length)` once. Any position
  can be asked for at any time; the first one of an epoch costs O(length log length).

  Args:
    positions: Where in the walk, >= 0, in any order.
    length: Examples in an epoch, >= 1.
    seed: Any integer.
  """
  epochs, within = np.divmod(positions, length)
  numbers = np.empty(len(positions), np.int64)
  for epoch in np.unique(epochs):
    here = epochs == epoch
    numbers[here] = permutation(length, seed, int(epoch))[within[here]]
  return numbers


def batch_by_length(
  step: int, batch_size: int, lengths: Int[np.ndarray, ' examples'], seed: int
) -> Int[np.ndarray, ' b']:
  """Example numbers of a batch of similar lengths.

  The walk of `epoch_shuffle` in which the examples of every 64 batches (of an epoch, if it is
  shorter) are sorted by length, cut into batches, and these shuffled: an epoch still holds each
  example once, and any step can be asked for at any time.

  Args:
    step: Which batch, >= 0.
    batch_size: b.
    lengths: Of all examples.
    seed: Any integer.
  """
  batches = max(1, min(_POOL, len(lengths) // batch_size))
  pool, place = divmod(step, batches)
  first = pool * batches * batch_size
  numbers = epoch_shuffle(first + np.arange(batches * batch_size), len(lengths), seed)
  numbers = numbers[np.argsort(lengths[numbers], kind='stable')]
  place = permutation(batches, seed, pool)[place]
  return numbers[place * batch_size : (place + 1) * batch_size]


def batch_of_one_kind(
  step: int, batch_size: int, kinds: Bool[np.ndarray, ' examples'], seed: int
) -> Int[np.ndarray, ' b']:
  """Example numbers of a batch whose examples are all of one of two kinds.

  Each kind has an `epoch_shuffle` of its own, and the kinds take turns in proportion to how many
  examples there are of each: in the long run each example comes equally often, and any step can be
  asked for at any time. If all are of one kind, this is `epoch_shuffle`.

  Args:
    step: Which batch, >= 0.
    batch_size: b.
    kinds: Of all examples.
    seed: Any integer.
  """
  total, count = len(kinds), int(kinds.sum())
  before, after = ((n * count + total // 2) // total for n in (step, step + 1))  # batches of True
  turn = after > before
  members = np.flatnonzero(kinds == turn)
  first = (before if turn else step - before) * batch_size
  return members[epoch_shuffle(first + np.arange(batch_size), len(members), seed)]


def draws(positions: Int[np.ndarray, ' b'], length: int, seed: int) -> Int[np.ndarray, ' b']:
  """A number below `length` for each position of an endless walk: drawn anew, all equally likely.

  Any position can be asked for at any time, whatever the length.

  Args:
    positions: Where in the walk, >= 0, in any order.
    length: Of the range, >= 1.
    seed: Any integer.
  """
  state = _mix(_mix(_words(seed)) + _words(_DRAWS))
  found = _mix(state + _GOLDEN * positions.astype(np.uint64))
  return (found % np.uint64(length)).astype(np.int64)


@functools.lru_cache(maxsize=8)  # two kinds, two epochs in a batch; training, its twin in a test
def permutation(length: int, seed: int, stream: int = 0) -> Int[np.ndarray, ' length']:
  """A uniformly random order of `range(length)`; every (seed, stream) has its own."""
  # One state per (seed, stream), not seed + stream: epoch 1 of seed 0 is not epoch 0 of seed 1.
  state = _mix(_mix(_words(seed)) + _words(stream))
  # Odd multiples and a bijection: no two sort keys are equal, so any sort gives the same order.
  order = np.argsort(_mix(state + _GOLDEN * np.arange(length, dtype=np.uint64)))
  order.flags.writeable = False  # the cache hands the same array to everybody
  return order


def uniform(places: Int[np.ndarray, ' b'], key: int, stream: int = 0) -> Float[np.ndarray, ' b']:
  """Random numbers in [0, 1), one for each place; every (key, stream) has its own."""
  state = _mix(_mix(_words(key)) + _words(stream))
  return (_mix(state + _GOLDEN * places.astype(np.uint64)) >> np.uint64(11)) * 2.0**-53


def draw_key(seed: int, epoch: int) -> int:
  """A number below 2^30 that stands for what is drawn in an epoch."""
  return int(_mix(_mix(_words(seed)) + _words(epoch))[0] >> np.uint64(34))


def stratified(labels: Int[np.ndarray, ' b'], seed: int = 0) -> Int[np.ndarray, ' b']:
  """An order of the examples in which every prefix holds each class in proportion.

  Within a class the order is random by seed; the r-th of n examples stands at (r + 1/2) / n of the
  whole. So the first f of the examples hold f * n of each class to within one example, and a slice
  of the order is a stratified split.
  """
  order = np.argsort(labels, kind='stable')
  place = np.empty(len(labels))
  start = 0
  for label, count in zip(*np.unique(labels, return_counts=True)):
    members = slice(start, start + count)
    order[members] = order[members][permutation(int(count), seed, int(label))]
    place[members] = (np.arange(count) + 0.5) / count
    start += count
  return order[np.argsort(place, kind='stable')]


_POOL = 64  # batches that are sorted together
_DRAWS = -1  # the stream of `draws`; those of the epochs are not negative
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _words(number: int) -> UInt64[np.ndarray, ' 1']:
  return np.array([number & (2**64 - 1)], np.uint64)


def _mix(x: UInt64[np.ndarray, ' b']) -> UInt64[np.ndarray, ' b']:
  """SplitMix64's finaliser: a bijection of 64 bits in which every input bit moves every output."""
  x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
  x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
  return x ^ (x >> np.uint64(31))
