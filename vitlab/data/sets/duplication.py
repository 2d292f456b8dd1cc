"""Say again what was said: 0w0w, for a language model, without a download.

The synthetic task of the Reformer (arXiv:2001.04451, section 5): a row is a word w of random
symbols twice, each time behind a zero, and counted is what is said of the second. To know a symbol
there one has to look back by half of the row. Every row is a function of seed, split and number.
"""

import numpy as np

from vitlab.data import Dataset, Example
from vitlab.data.identity import digest
from vitlab.errors import UserError


def make(
  length: int = 1024, symbols: int = 127, train: int = 1_000_000, test: int = 1_000, seed: int = 0
) -> Dataset:
  """Splits 'train' and 'test' of `tokens` [length + 1] and `scored` [length].

  Args:
    length: Of 0w0w, an even number; the zero of another word follows, which nobody has to say.
    symbols: How many different ones there are beside the zero.
    train: How many rows to train on.
    test: How many rows to evaluate.
    seed: Of all of them.

  Raises:
    UserError: numbers that cannot be.
  """
  if length < 4 or length % 2 or min(symbols, train, test) < 1:
    raise UserError(
      f'data set duplication: length={length}, symbols={symbols}, train={train}, test={test}\n'
      'the length is an even number from 4 on, all others are at least 1'
    )
  counts = dict(train=train, test=test)
  splits = {
    name: Rows(length, symbols, count, (seed, i)) for i, (name, count) in enumerate(counts.items())
  }
  return Dataset(splits, dict(vocab_size=symbols + 1, context=length))


class Rows:
  """A split of rows that are made when they are asked for.

  Args:
    length: Of 0w0w.
    symbols: Beside the zero.
    count: Of rows.
    seed: Of the split.
  """

  def __init__(self, length: int, symbols: int, count: int, seed: tuple[int, ...]):
    self._length, self._symbols, self._count, self._seed = length, symbols, count, seed
    place = np.arange(1, length + 1)  # of targets
    self._scored = (place > length // 2) & (place < length)

  def __len__(self) -> int:
    return self._count

  def __getitem__(self, index: int) -> Example:
    random = np.random.default_rng((*self._seed, index))
    word = random.integers(1, self._symbols + 1, self._length // 2 - 1, dtype=np.int32)
    tokens = np.concatenate([[0], word, [0], word, [0]]).astype(np.int32)
    return dict(tokens=tokens, scored=self._scored)

  def digest(self) -> str:
    return digest(repr((self._length, self._symbols, self._count, self._seed)))
