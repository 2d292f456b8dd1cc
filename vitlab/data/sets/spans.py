"""Runs of letters to be found in rows of letters: tags of words without a download.

Generated rows `[CLS] letters [SEP]` of different lengths; every seed is another set, the same for
everybody. An `a` begins an entity, and every `b` behind it goes on with it; a `b` elsewhere is in
none, so that a letter alone does not tell its tag.
"""

import numpy as np

from vitlab.data import Dataset
from vitlab.data.sources import Arrays
from vitlab.errors import UserError

VOCABULARY = ('[PAD]', '[CLS]', '[SEP]', 'a', 'b', 'c')
PAD, CLS, SEP, A, B, C = range(6)
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
  if not 1 <= min_length <= max_length or train < 1 or test < 1:
    raise UserError(
      f'spans(min_length={min_length}, max_length={max_length}, train={train}, test={test}): '
      'give lengths of 1 or more, the longest last, and at least one row of each split'
    )
  generator, count = np.random.default_rng(seed), train + test
  at, length = np.arange(max_length + 2), generator.integers(min_length, max_length + 1, (count, 1))
  letters = generator.choice([A, B, C], (count, max_length + 2), p=[0.25, 0.5, 0.25])
  tokens = np.where(at <= length, letters, np.where(at == length + 1, SEP, PAD))
  tokens[:, 0] = CLS
  classes = np.full(tokens.shape, NONE)
  within = np.zeros(count, bool)
  for i in at[1:]:
    within = (tokens[:, i] == A) | within & (tokens[:, i] == B)
    tag = np.where(tokens[:, i] == A, 0, np.where(within, 1, 2))
    classes[:, i] = np.where(tokens[:, i] >= A, tag, NONE)
  rows = dict(tokens=tokens, segments=at <= length + 1, classes=classes)
  rows = {key: x.astype(np.int32) for key, x in rows.items()}
  facts = dict(vocab_size=len(VOCABULARY), vocabulary=list(VOCABULARY), num_classes=len(TAGS))
  facts |= dict(class_names=list(TAGS), max_length=max_length + 2)
  splits = dict(train=slice(train), test=slice(train, None))
  arrays = {name: {key: x[part] for key, x in rows.items()} for name, part in splits.items()}
  return Dataset({name: Arrays(x) for name, x in arrays.items()}, facts)
