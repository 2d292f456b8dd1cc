"""What evaluators of word vectors share."""

import numpy as np
import pytest
from _helpers import word_vectors

from vitlab.errors import UserError
from vitlab.evaluators import _word_vectors


def test_vectors_of_all_batches_are_one_matrix():
  found = _word_vectors.vectors(word_vectors.predictions, 'words')
  np.testing.assert_array_equal(found, word_vectors.VECTORS)


def test_of_words_that_differ_in_case_alone_the_first_counts():
  assert _word_vectors.numbers(['Run', 'the', 'run', 'a']) == dict(RUN=0, THE=1, A=3)
  assert _word_vectors.numbers(['Run', 'the', 'run', 'a'], limit=1) == dict(RUN=0)
  with pytest.raises(UserError, match='no vocabulary'):
    _word_vectors.numbers(None)


def test_a_file_that_cannot_be_read_says_what_was_expected(tmp_path):
  (tmp_path / 'latin').write_bytes(b'\xe9')
  for path in ('', str(tmp_path / 'nowhere'), str(tmp_path / 'latin')):
    with pytest.raises(UserError, match='expected pairs'):
      _word_vectors.lines(path, 'pairs')
