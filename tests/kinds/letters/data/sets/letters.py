"""Rows of letters in which each one mostly leads to the next of the alphabet."""

import numpy as np

from vitlab.data import Dataset
from vitlab.data.sources import Arrays


def make(length=12, train=256, test=64, letters='abcdefgh'):
  generator = np.random.default_rng(0)

  def rows(count):
    steps = np.where(generator.random((count, length)) < 0.9, 1, 3)
    return Arrays(dict(tokens=(np.cumsum(steps, axis=1) % len(letters)).astype(np.int32)))

  facts = dict(vocab_size=len(letters), letters=letters, length=length)
  return Dataset(dict(train=rows(train), test=rows(test)), facts)
