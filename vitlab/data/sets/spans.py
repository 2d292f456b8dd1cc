"""Runs of letters to be found in rows of letters: tags of words without a download.

Generated rows `[CLS] letters [SEP]` of different lengths; every seed is another set, the same for
everybody. An `a` begins an entity, and every `b` behind it goes on with it; a `b` elsewhere is in
none, so that a letter alone does not tell its tag.
"""

import numpy as np

from vitlab.data import Dataset, letters

A, B, C = range(letters.FIRST, letters.FIRST + 3)
TAGS = ('B-A', 'I-A', 'O')
NONE = -1  # the class of what is no letter


def make(
  min_length: int = 5, max_length: int = 14, train: int = 2000, test: int = 500, seed: int = 0
) -> Dataset:
  """Splits 'train' and 'test' of `tokens`, `segments` and `classes`, [max_length + 2].

  Args:
    min_length: Letters of the shortest row.
    max_length: Letters of the longest row.
    train: Number of rows to train on.
    test: Number of rows held out.
    seed: Seed of the generator.

  Raises:
    UserError: lengths or numbers that cannot be.
  """
  letters.check('spans', min_length, max_length, train, test)
  generator, count = np.random.default_rng(seed), train + test
  length = generator.integers(min_length, max_length + 1, (count, 1))
  drawn = generator.choice([A, B, C], (count, max_length + 2), p=[0.25, 0.5, 0.25])
  tokens = letters.framed(drawn, length)
  classes = np.full(tokens.shape, NONE)
  within = np.zeros(count, bool)
  for i in range(1, max_length + 2):
    within = (tokens[:, i] == A) | within & (tokens[:, i] == B)
    tag = np.where(tokens[:, i] == A, 0, np.where(within, 1, 2))
    classes[:, i] = np.where(tokens[:, i] >= A, tag, NONE)
  return letters.dataset(tokens, length, train, TAGS, classes=classes)
