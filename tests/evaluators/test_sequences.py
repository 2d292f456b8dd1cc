"""Numbers of sentences, counted by hand."""

import numpy as np
import pytest
import sacrebleu
from _helpers import text

from vitlab.data import _tokenizer
from vitlab.errors import UserError
from vitlab.evaluators import _text_scores, sequences

TOKENS = np.array([[4, 5, 2, 0], [6, 2, 0, 0], [7, 8, 2, 0]])
TARGETS = np.array([[5, 4, 2, 0], [6, 2, 0, 0], [8, 7, 2, 0]])
# Right; right but for what comes after; cut off before its end; wider than the targets.
SAID = np.array([[5, 4, 2, 0, 0], [6, 9, 2, 0, 0], [8, 7, 2, 0, 0]])
SCORES = dict(loss=[0.6, 0.2, 1.0], right=[2.0, 2.0, 3.0], tokens=[3.0, 2.0, 3.0])


def predictions(name, split):
  assert split == 'test'
  for rows in (slice(0, 2), slice(2, 3)):
    batch = dict(tokens=TOKENS[rows], targets=TARGETS[rows], index=np.arange(3)[rows])
    if name == 'scores':
      yield {key: np.array(value, np.float32)[rows] for key, value in SCORES.items()}, batch
    elif name == 'cross_attention':
      yield [np.full((len(batch['index']), 2, 4, 4), layer / 4) for layer in (1, 2, 3)], batch
    else:
      assert name == 'decoded'
      said = np.stack([SAID, np.full_like(SAID, 9)], axis=1)[rows]  # the best, and another
      yield dict(tokens=said, score=np.array([[-1.0, -2.0]] * 3)[rows]), batch


def test_counts_tokens_and_whole_sentences():
  metrics, details = sequences.make()(predictions)
  assert metrics['accuracy'] == pytest.approx(2 / 3)
  assert metrics['token_accuracy'] == pytest.approx(7 / 8)
  assert metrics['loss'] == pytest.approx(1.8 / 8)
  assert metrics['perplexity'] == pytest.approx(np.exp(1.8 / 8))
  assert details['length'].tolist() == [1, 2]
  assert details['length_accuracy'].tolist() == [0, 1]
  assert details['length_count'].tolist() == [1, 2]
  np.testing.assert_array_equal(details['examples_decoded'], SAID[:, :3])
  np.testing.assert_array_equal(details['examples_index'], [0, 1, 2])


def test_text_is_compared_as_text():
  lines = text.sentences(60)[0]
  vocabulary = _tokenizer.train(lines, 'char', 200)
  rows = vocabulary.encode(lines)
  width = max(map(len, rows))
  targets = np.stack([np.pad(row, (0, width - len(row))) for row in rows])
  said = targets.copy()
  said[0, :4] = targets[1, :4]
  said[7] = said[8]
  texts = [vocabulary.decode(row) for row in said]
  batch = dict(tokens=targets, targets=targets, index=np.arange(60))
  outputs = dict(
    decoded=dict(tokens=said[:, None]), scores={k: np.ones(60, np.float32) for k in SCORES}
  )
  evaluate = sequences.make(tokenizer=vocabulary.text)
  metrics, details = evaluate(lambda name, split: iter([(outputs[name], batch)]))
  assert metrics['bleu'] == pytest.approx(sacrebleu.corpus_bleu(texts, [lines]).score)
  assert metrics['chrf'] == pytest.approx(sacrebleu.corpus_chrf(texts, [lines]).score)
  assert details['signatures'].shape == (2,)
  length = np.array([len(row) - 1 for row in rows])
  wanted = _text_scores.by_length(texts, lines, length)
  for name, column in zip(('bleu_length', 'length_bleu', 'bleu_count'), wanted):
    np.testing.assert_array_equal(details[name], column)


@pytest.mark.parametrize('count', [1, 2, 3])
def test_attention_of_the_first_examples_is_kept(count):
  _, details = sequences.make(attention=count)(predictions)
  assert details['attention'].shape == (count, 3, 2, 4, 4)
  np.testing.assert_array_equal(details['attention'][0, :, 0, 0, 0], [0.25, 0.5, 0.75])
  assert 'attention' not in sequences.make()(predictions).details


def test_an_empty_split_is_refused():
  with pytest.raises(UserError, match="split 'test' has no examples"):
    sequences.make()(lambda name, split: iter(()))
