"""Similarities, equal to gensim's on the same vectors."""

import numpy as np
import pytest
from _helpers.word_vectors import WORDS, in_gensim, predictions

from vitlab.errors import UserError
from vitlab.evaluators import similarity

PAIRS = """Word 1,Word 2,Human (mean)
athens,greece,8.1
Oslo,norway,7.5
run,running,9
the,walk,0.5
rome,italy,7
"""


@pytest.mark.parametrize('delimiter', [',', '\t'])
def test_similarity_is_that_of_gensim(tmp_path, delimiter):
  path = tmp_path / 'pairs.csv'
  path.write_text('# people\n' + PAIRS.replace(',', delimiter))
  _, spearman, unknown = in_gensim().evaluate_word_pairs(str(path), delimiter=delimiter)
  result = similarity.make(str(path), vocabulary=WORDS)(predictions)
  np.testing.assert_allclose(result.metrics['spearman'], spearman[0])
  np.testing.assert_allclose(result.metrics['unknown'], unknown / 100)
  assert result.details['pairs_words'].tolist()[1] == ['Oslo', 'norway']


@pytest.mark.parametrize(
  'content, message',
  [
    ('a,b,c\na,b,high\n', 'no pairs'),
    ('a,b,1\na,b,high\n', 'line 2'),
    ('a b 1\n', 'line 1'),
  ],
)
def test_files_of_another_form_are_refused(tmp_path, content, message):
  path = tmp_path / 'file'
  path.write_text(content)
  with pytest.raises(UserError, match=message):
    similarity.make(str(path), vocabulary=WORDS)
