"""Rows and their mirror images."""

import numpy as np
import pytest

from vitlab.data.sets import reverse
from vitlab.errors import UserError
from vitlab.ops.tokens import EOS

SMALL = dict(min_length=2, max_length=6, train=300, test=50)


def sentences(array):
  """Rows as tuples, if each is symbols, one EOS and padding."""
  rows = []
  for row in array:
    end = row.tolist().index(EOS)
    assert not np.any(row[end + 1 :]) and np.all(row[:end] >= 4)
    rows.append(tuple(row[:end].tolist()))
  return rows


@pytest.mark.parametrize('order', ['reverse', 'sort'])
def test_targets_are_the_source_in_another_order(order):
  splits, facts = reverse.make(order, **SMALL)
  assert facts['vocab_size'] == len(facts['vocabulary']) == 14
  expected = {'reverse': lambda row: row[::-1], 'sort': lambda row: tuple(sorted(row))}[order]
  for split, size in (('train', 300), ('test', 50)):
    sources, targets = (sentences(splits[split].arrays[key]) for key in ('tokens', 'targets'))
    assert len(sources) == size
    assert targets == [expected(row) for row in sources]
    assert {len(row) for row in sources} == set(range(2, 7))


def test_no_row_comes_twice_and_a_seed_is_a_set():
  rows = [
    sentences(splits[split].arrays['tokens'])
    for splits in (reverse.make(**SMALL).splits, reverse.make(**SMALL, seed=1).splits)
    for split in ('train', 'test')
  ]
  assert len(set(rows[0] + rows[1])) == 350
  assert rows[0] != rows[2]
  assert rows[0] == sentences(reverse.make(**SMALL).splits['train'].arrays['tokens'])


@pytest.mark.parametrize(
  'words, says',
  [
    (dict(order='shuffle'), 'possible are reverse, sort'),
    (dict(min_length=5, max_length=4), 'max_length not below min_length'),
    (dict(symbols=0), 'at least 1'),
    (dict(symbols=2, max_length=5), 'lower train and test'),
  ],
)
def test_bad_words_are_refused(words, says):
  with pytest.raises(UserError, match=says):
    reverse.make(**words)
