"""Analogies, equal to gensim's on the same vectors."""

import numpy as np
import pytest
from _helpers.word_vectors import WORDS, in_gensim, predictions

from vitlab.errors import UserError
from vitlab.evaluators import analogies

QUESTIONS = """: capitals
athens greece oslo norway
Athens Greece PARIS France
oslo norway athens greece
athens greece rome italy
: gram1
run running walk walking
walk walking run running
walk walking x3 running
"""


@pytest.mark.parametrize('limit', [0, 11])
@pytest.mark.parametrize('method', ['most_similar', 'most_similar_cosmul'])
def test_analogies_are_those_of_gensim(tmp_path, limit, method):
  path = tmp_path / 'questions.txt'
  path.write_text(QUESTIONS)
  restrict = limit or 300_000
  score, sections = in_gensim().evaluate_word_analogies(str(path), restrict_vocab=restrict)
  result = analogies.make(str(path), limit=limit, vocabulary=WORDS)(predictions)
  assert 0 < score < 1
  np.testing.assert_allclose(result.metrics['accuracy'], score)
  for name, section in zip(('semantic_accuracy', 'syntactic_accuracy'), sections):
    right, wrong = len(section['correct']), len(section['incorrect'])
    np.testing.assert_allclose(result.metrics[name], right / (right + wrong))
  asked = sum(len(s['correct']) + len(s['incorrect']) for s in sections[:-1])
  np.testing.assert_allclose(result.metrics['unknown'], 1 - asked / 7)
  assert result.details['section_count'].sum() == asked
  assert result.details['sections'].tolist() == ['capitals', 'gram1']


def test_3cosmul_is_asked_too(tmp_path):
  path = tmp_path / 'questions.txt'
  path.write_text(QUESTIONS)
  result = analogies.make(str(path), vocabulary=WORDS)(predictions)
  right = result.details['section_multiply']
  assert result.metrics['multiply_accuracy'] == right.sum() / 6
  assert result.metrics['multiply_semantic_accuracy'] == right[0] / 3


def test_nothing_that_is_known_is_nothing_right(tmp_path):
  path = tmp_path / 'questions.txt'
  path.write_text(': a\nrome italy bern switzerland\n')
  result = analogies.make(str(path), vocabulary=WORDS)(predictions)
  assert result.metrics['accuracy'] == 0 and result.metrics['unknown'] == 1


@pytest.mark.parametrize(
  'content, message',
  [
    ('a b c\n', 'line 1 has 3 words'),
    (': a\n', 'no questions'),
  ],
)
def test_files_of_another_form_are_refused(tmp_path, content, message):
  path = tmp_path / 'file'
  path.write_text(content)
  with pytest.raises(UserError, match=message):
    analogies.make(str(path), vocabulary=WORDS)
