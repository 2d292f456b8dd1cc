"""Rows of letters whose label is the one that stands there more often."""

import numpy as np
import pytest

from vitlab.data.sets import majority
from vitlab.errors import UserError


def test_the_label_is_the_letter_that_stands_there_more_often():
  dataset = majority.make(train=300, test=50)
  assert {name: len(split) for name, split in dataset.splits.items()} == dict(train=300, test=50)
  rows = dataset.splits['train'].arrays
  tokens, segments = rows['tokens'], rows['segments']
  often = [(tokens == letter).sum(1) for letter in (3, 4)]
  clear = often[0] != often[1]
  np.testing.assert_array_equal(rows['label'][clear], (often[1] > often[0])[clear])
  assert clear.mean() > 0.7 and 0.4 < rows['label'].mean() < 0.6
  lengths = segments.sum(1)
  assert (lengths.min(), lengths.max()) == (7, 17)
  assert (tokens[:, 0] == 1).all() and ((tokens > 0) == (segments == 1)).all()
  assert (tokens[np.arange(300), lengths - 1] == 2).all() and ((tokens == 2).sum(1) == 1).all()


def test_a_seed_is_a_set():
  one, again, other = (majority.make(train=9, test=1, seed=s).splits['train'] for s in (0, 0, 1))
  assert one.digest() == again.digest() != other.digest()


@pytest.mark.parametrize('words', [dict(min_length=0), dict(max_length=3), dict(test=0)])
def test_what_cannot_be_is_said(words):
  with pytest.raises(UserError, match='majority'):
    majority.make(**words)
