"""Say a row of digits backwards, or in order: sequence to sequence without a download.

Generated pairs, all different and shuffled, lengths uniform between two bounds: every seed is
another set, the same for everybody. What attention cures shows here: a model that must keep the
whole row in one vector fails as the rows grow.
"""

from collections.abc import Iterator

import numpy as np

from vitlab.data import Dataset
from vitlab.data.sources import Arrays
from vitlab.errors import UserError, unknown
from vitlab.ops.tokens import EOS, SPECIAL

_ORDERS = {'reverse': lambda row: row[::-1], 'sort': np.sort}


def make(
  order: str = 'reverse',
  symbols: int = 10,
  min_length: int = 4,
  max_length: int = 20,
  train: int = 20_000,
  test: int = 1_000,
  seed: int = 0,
) -> Dataset:
  """Splits 'train' and 'test' of `tokens` and `targets`, each [max_length + 1] with its EOS.

  Args:
    order: Of the targets: 'reverse' or 'sort'.
    symbols: How many different ones there are.
    min_length: Of a row.
    max_length: Of a row.
    train: How many pairs.
    test: How many pairs; none of them is in train.
    seed: Of the generator.

  Raises:
    UserError: an unknown order, bounds or counts that cannot be, fewer different rows than asked.
  """
  _check(order, symbols, min_length, max_length, train, test)
  total = train + test
  tokens, targets = np.zeros((2, total, max_length + 1), np.int32)
  for i, row in zip(range(total), _rows(symbols, min_length, max_length, seed)):
    for array, values in ((tokens, row), (targets, _ORDERS[order](row))):
      array[i, : len(row)], array[i, len(row)] = values + len(SPECIAL), EOS
  arrays = dict(tokens=tokens, targets=targets)
  return Dataset(
    splits=dict(
      train=Arrays({key: x[:train] for key, x in arrays.items()}),
      test=Arrays({key: x[train:] for key, x in arrays.items()}),
    ),
    facts=dict(
      vocab_size=len(SPECIAL) + symbols,
      vocabulary=[*SPECIAL, *map(str, range(symbols))],
    ),
  )


def _check(order: str, symbols: int, min_length: int, max_length: int, train: int, test: int):
  if order not in _ORDERS:
    raise unknown('order of the data set reverse', order, _ORDERS)
  if not 1 <= min_length <= max_length or min(symbols, train, test) < 1:
    raise UserError(
      f'data set reverse: min_length={min_length}, max_length={max_length}, symbols={symbols}, '
      f'train={train}, test={test}\nall must be at least 1, and max_length not below min_length'
    )
  # Twice as many as needed, so that drawing at random finds them; a float, for it may be huge.
  rows = sum(float(symbols) ** n for n in range(min_length, max_length + 1))
  if rows < 2 * (train + test):
    raise UserError(
      f'data set reverse: {train + test:,} different rows are asked for, of {rows:,.0f} that there '
      f'are of {symbols} symbols and length {min_length} to {max_length}\n'
      'lower train and test to a half of them, or raise max_length'
    )


def _rows(symbols: int, shortest: int, longest: int, seed: int) -> Iterator[np.ndarray]:
  """Different rows, for ever."""
  # The legacy generator, whose stream NumPy promises never to change.
  random, seen = np.random.RandomState(seed), set()
  while True:
    row = random.randint(0, symbols, random.randint(shortest, longest + 1)).astype(np.int32)
    if row.tobytes() not in seen:
      seen.add(row.tobytes())
      yield row
