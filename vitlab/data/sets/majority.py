"""Which of two letters stands more often in a row: classification of texts without a download.

Generated rows `[CLS] letters [SEP]` of different lengths; every seed is another set, the same for
everybody. No single letter tells the class.
"""

import numpy as np

from vitlab.data import Dataset, letters


def make(
  min_length: int = 5, max_length: int = 15, train: int = 2000, test: int = 500, seed: int = 0
) -> Dataset:
  """Splits 'train' and 'test' of `tokens` and `segments`, [max_length + 2], and `label`.

  Args:
    min_length: Letters of the shortest row.
    max_length: Letters of the longest row.
    train: Number of rows to train on.
    test: Number of rows held out.
    seed: Seed of the generator.

  Raises:
    UserError: lengths or numbers that cannot be.
  """
  letters.check('majority', min_length, max_length, train, test)
  generator, count = np.random.default_rng(seed), train + test
  length = generator.integers(min_length, max_length + 1, (count, 1))
  label = generator.integers(0, 2, count).astype(np.int32)
  # The class's letter is drawn more often than the other, and a third one as often as both.
  share = np.where(label[:, None] == 0, 0.35, 0.15)
  chance = generator.random((count, max_length + 2))
  tokens = letters.framed(letters.FIRST + (chance > share) + (chance > 0.5), length)
  often = [(tokens == letters.FIRST + i).sum(axis=1) for i in range(2)]
  label = np.where(often[0] == often[1], label, often[1] > often[0])
  return letters.dataset(tokens, length, train, ('a', 'b'), label=label)
