"""Unigram and bigram losses against loops over the text, and laws of probability."""

import math

import numpy as np
import pytest

from vitlab.ops import ngrams

VOCAB = 5
TEXT = np.array([0, 1, 0, 2, 1, 1, 0, 1, 3], np.uint16)  # 3 is followed by nothing, 4 is not there
COUNTS = ngrams.count(TEXT, VOCAB)


def by_hand(text, before, token):
  """(unigram, bigram) probability, counted one by one."""
  text = text.tolist()
  alone = (text.count(token) + 1) / (len(text) + VOCAB)
  behind = [b for a, b in zip(text, text[1:]) if a == before]
  if not behind:
    return alone, alone
  different = len(set(behind))
  return alone, (behind.count(token) + different * alone) / (len(behind) + different)


def test_as_counted_one_by_one():
  before, tokens = (x.ravel() for x in np.indices((VOCAB, VOCAB)))
  wanted = np.array([by_hand(TEXT, a, b) for a, b in zip(before, tokens)])
  np.testing.assert_allclose(ngrams.unigram(COUNTS, tokens), -np.log(wanted[:, 0]), rtol=1e-12)
  np.testing.assert_allclose(
    ngrams.bigram(COUNTS, before, tokens), -np.log(wanted[:, 1]), rtol=1e-12
  )


@pytest.mark.parametrize('before', range(VOCAB))
def test_probabilities_sum_to_one(before):
  every = np.arange(VOCAB)
  assert np.exp(-ngrams.unigram(COUNTS, every)).sum() == pytest.approx(1, abs=1e-12)
  found = ngrams.bigram(COUNTS, np.full(VOCAB, before), every)
  assert np.exp(-found).sum() == pytest.approx(1, abs=1e-12)


def test_pairs_of_a_large_vocabulary_are_told_apart():
  vocab = 70_000  # whose square no int32 holds, and whose tokens no uint16
  text = np.array([69_999, 69_998] * 50, np.uint32)
  counts = ngrams.count(text, vocab)
  likely = ngrams.bigram(counts, text[:1], text[1:2])[0]
  assert likely < 0.1 < math.log(2) < ngrams.bigram(counts, text[:1], text[:1])[0]


def test_a_text_of_one_token_has_no_pairs():
  counts = ngrams.count(np.array([2]), 3)
  np.testing.assert_allclose(ngrams.bigram(counts, np.array([2]), np.array([2])), -np.log(2 / 4))
