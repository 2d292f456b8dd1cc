"""Rows of letters: frames around them, and numbers that cannot be."""

import numpy as np
import pytest

from vitlab.data import letters
from vitlab.errors import UserError


def test_a_row_is_framed_and_padded_to_the_length_that_it_has():
  rows, length = np.full((2, 6), letters.FIRST), np.array([[1], [4]])
  cls, sep, pad, a = letters.CLS, letters.SEP, letters.PAD, letters.FIRST
  wanted = [[cls, a, sep, pad, pad, pad], [cls, a, a, a, a, sep]]
  np.testing.assert_array_equal(letters.framed(rows, length), wanted)
  made = letters.dataset(np.array(wanted), length, 1, ('x', 'y'), label=np.array([0, 1]))
  assert [len(made.splits[name]) for name in ('train', 'test')] == [1, 1]
  example = made.splits['train'][0]
  assert example['segments'].tolist() == [1, 1, 1, 0, 0, 0] and example['label'] == 0
  assert made.facts['num_classes'] == 2 and made.facts['max_length'] == 6


@pytest.mark.parametrize('wrong', [(0, 3, 1, 1), (4, 3, 1, 1), (1, 3, 0, 1), (1, 3, 1, 0)])
def test_numbers_that_cannot_be_are_named(wrong):
  with pytest.raises(UserError, match=r'abc\(min_length=.*lengths of 1 or more'):
    letters.check('abc', *wrong)
