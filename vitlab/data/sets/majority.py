"""Which of two letters stands more often in a row: classification of texts without a download.

Generated rows `[CLS] letters [SEP]` of different lengths; every seed is another set, the same for
everybody. No single letter tells the class.
"""

import numpy as np

from vitlab.data import Dataset
from vitlab.data.sources import Arrays
from vitlab.errors import UserError

VOCABULARY = ('[PAD]', '[CLS]', '[SEP]', 'a', 'b', 'c')
PAD, CLS, SEP, FIRST = range(4)


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
  if not 1 <= min_length <= max_length or train < 1 or test < 1:
    raise UserError(
      f'majority(min_length={min_length}, max_length={max_length}, train={train}, test={test}): '
      'give lengths of 1 or more, the longest last, and at least one row of each split'
    )
  generator, count = np.random.default_rng(seed), train + test
  at, length = np.arange(max_length + 2), generator.integers(min_length, max_length + 1, (count, 1))
  label = generator.integers(0, 2, count).astype(np.int32)
  # The class's letter is drawn more often than the other, and a third one as often as both.
  share = np.where(label[:, None] == 0, 0.35, 0.15)
  chance = generator.random((count, max_length + 2))
  letters = FIRST + (chance > share) + (chance > 0.5)
  tokens = np.where(at <= length, letters, np.where(at == length + 1, SEP, PAD))
  tokens[:, 0] = CLS
  often = [(tokens == FIRST + i).sum(axis=1) for i in range(2)]
  label = np.where(often[0] == often[1], label, often[1] > often[0])
  rows = dict(tokens=tokens, segments=at <= length + 1, label=label)
  rows = {key: x.astype(np.int32) for key, x in rows.items()}
  facts = dict(vocab_size=len(VOCABULARY), vocabulary=list(VOCABULARY), num_classes=2)
  facts |= dict(class_names=['a', 'b'], max_length=max_length + 2)
  splits = dict(train=slice(train), test=slice(train, None))
  arrays = {name: {key: x[part] for key, x in rows.items()} for name, part in splits.items()}
  return Dataset({name: Arrays(x) for name, x in arrays.items()}, facts)
