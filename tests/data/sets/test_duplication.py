"""Rows that say a word twice, of which the second is counted."""

import pickle

import numpy as np
import pytest

from vitlab.data.sets import duplication
from vitlab.errors import UserError


def test_a_row_is_a_word_twice_and_the_second_is_scored():
  dataset = duplication.make(length=12, symbols=3, train=50, test=20)
  assert {name: len(split) for name, split in dataset.splits.items()} == dict(train=50, test=20)
  assert dataset.facts == dict(vocab_size=4, context=12)
  seen = []
  for split in dataset.splits.values():
    for i in range(len(split)):
      row = split[i]
      tokens, scored = row['tokens'], row['scored']
      assert (tokens.dtype, tokens.shape, scored.shape) == (np.int32, (13,), (12,))
      assert not tokens[[0, 6, 12]].any()
      np.testing.assert_array_equal(tokens[1:6], tokens[7:12])
      # A target is the token behind its place.
      np.testing.assert_array_equal(np.flatnonzero(scored) + 1, range(7, 12))
      seen.append(tuple(tokens[1:6]))
  assert set(np.ravel(seen)) == {1, 2, 3}
  assert len(set(seen)) > 55  # of 70: neither rows nor splits are alike


def test_an_example_is_a_function_of_seed_split_and_number():
  one, again, other = (duplication.make(length=12, seed=s) for s in (0, 0, 1))
  same = lambda a, b: (a['tokens'] == b['tokens']).all()  # noqa: E731
  moved = pickle.loads(pickle.dumps(again.splits['train']))
  for number in (0, 7, 999_999):
    assert same(one.splits['train'][number], moved[number])
    assert not same(one.splits['train'][number], other.splits['train'][number])
  assert not same(one.splits['train'][0], one.splits['test'][0])
  digests = {d.splits[name].digest() for d in (one, again, other) for name in ('train', 'test')}
  assert len(digests) == 4
  assert one.splits['train'].digest() != duplication.make(length=14).splits['train'].digest()


@pytest.mark.parametrize('words', [dict(length=7), dict(length=2), dict(symbols=0), dict(test=0)])
def test_what_cannot_be_is_said(words):
  with pytest.raises(UserError, match='data set duplication'):
    duplication.make(**words)
