"""Texts against references: sacrebleu's numbers, by length, and how they were computed."""

import numpy as np
import pytest
import sacrebleu
from _helpers import text

from vitlab.evaluators import _text_scores


def test_scores_are_those_of_sacrebleu():
  references, _ = text.sentences(60)
  said = [references[1], *references[1:]]
  found = _text_scores.score(said, references)
  assert found.bleu == pytest.approx(sacrebleu.corpus_bleu(said, [references]).score)
  assert found.chrf == pytest.approx(sacrebleu.corpus_chrf(said, [references]).score)
  assert 50 < found.bleu < 100
  bleu, chrf = found.signatures
  assert 'case:mixed' in bleu and 'tok:13a' in bleu and 'nc:6' in chrf


def test_case_and_order_count():
  references = ['the cat runs and the dog sleeps .'] * 3
  assert _text_scores.score(references, references).bleu == pytest.approx(100)
  for other in ('The Cat Runs And The Dog Sleeps .', 'sleeps dog the and runs cat the .'):
    assert _text_scores.score([other] * 3, references).bleu < 20


def test_every_length_has_its_own():
  references, _ = text.sentences(60)
  said = [line.replace('dog', 'cat') for line in references]
  length = np.arange(60) % 12 + 1
  ends, bleu, count = _text_scores.by_length(said, references, length)
  assert ends.tolist() == [5, 10, 15] and count.tolist() == [25, 25, 10]
  for end, value in zip(ends, bleu):
    rows = [i for i in range(60) if end - 5 < length[i] <= end]
    wanted = sacrebleu.corpus_bleu([said[i] for i in rows], [[references[i] for i in rows]])
    assert value == pytest.approx(wanted.score)
