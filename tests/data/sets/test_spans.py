"""Rows of letters of which some belong together."""

import numpy as np
import pytest

from vitlab.data import letters as rows_of_letters
from vitlab.data.sets import spans
from vitlab.errors import UserError


def test_an_entity_is_an_a_and_all_b_behind_it():
  dataset = spans.make(train=300, test=50)
  assert {name: len(split) for name, split in dataset.splits.items()} == dict(train=300, test=50)
  rows = dataset.splits['train'].arrays
  tags = dataset.facts['class_names']
  for tokens, segments, classes in zip(*(rows[key] for key in ('tokens', 'segments', 'classes'))):
    length = segments.sum()
    letters = ''.join(rows_of_letters.VOCABULARY[token] for token in tokens[1 : length - 1])
    found, within = [], False
    for letter in letters:
      within = letter == 'a' or (within and letter == 'b')
      found.append('B-A' if letter == 'a' else 'I-A' if within else 'O')
    assert [tags[i] for i in classes[1 : length - 1]] == found
    assert (classes[[0, length - 1]] == -1).all() and (classes[length:] == -1).all()
    assert tokens[0] == rows_of_letters.CLS and tokens[length - 1] == rows_of_letters.SEP
  lengths = rows['segments'].sum(1)
  assert (lengths.min(), lengths.max()) == (7, 16)
  assert 0.2 < np.mean(rows['classes'][rows['tokens'] == spans.B] == 2) < 0.8


def test_a_seed_is_a_set():
  one, again, other = (spans.make(train=9, test=1, seed=s).splits['train'] for s in (0, 0, 1))
  assert one.digest() == again.digest() != other.digest()


@pytest.mark.parametrize('words', [dict(min_length=0), dict(max_length=3), dict(test=0)])
def test_what_cannot_be_is_said(words):
  with pytest.raises(UserError, match='spans'):
    spans.make(**words)
