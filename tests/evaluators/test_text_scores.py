"""Texts against references: sacrebleu's numbers, by length, and how they were computed."""

import base64

import numpy as np
import pytest
import sacrebleu
from _helpers import text
from sacrebleu.tokenizers import tokenizer_ja_mecab, tokenizer_ko_mecab, tokenizer_spm

from vitlab.data import tokenizers
from vitlab.errors import UserError
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


CHINESE = ['今天天气很好，我们去公园散步吧。', '他昨天买了一本新书。', '我喜欢喝茶。']
SAID = ['今天天气很好，我们去公园走走吧。', '他昨天买了一本新书。', '我喜欢喝茶。']
TOKENIZERS = ('13a', 'zh', 'intl', 'char', 'none')


@pytest.mark.parametrize('tokenize', TOKENIZERS)
def test_every_tokenizer_is_that_of_sacrebleu(tokenize):
  _text_scores.check(tokenize)
  found = _text_scores.score(SAID, CHINESE, tokenize)
  assert found.bleu == sacrebleu.corpus_bleu(SAID, [CHINESE], tokenize=tokenize).score
  assert f'tok:{tokenize}|' in found.signatures[0]
  assert (found.bleu > 80) == (tokenize in ('zh', 'char')), 'Chinese has no spaces'
  ends, bleu, _ = _text_scores.by_length(SAID, CHINESE, np.array([3, 3, 8]), tokenize)
  wanted = sacrebleu.corpus_bleu(SAID[2:], [CHINESE[2:]], tokenize=tokenize).score
  assert ends.tolist() == [5, 10] and bleu[1] == pytest.approx(wanted if wanted else 100)


@pytest.mark.parametrize(
  'tokenize, says',
  [
    ('chinese', "unknown tokenize of BLEU 'chinese': .*possible are .*zh"),
    ('flores200', r'needs the model .*flores200sacrebleuspm, which is not there\nlet sacrebleu'),
    ('ja-mecab', r'(?s)cannot be computed here: .*\n.*pip install "sacrebleu\[ja\]"'),
    ('ko-mecab', r'(?s)cannot be computed here: .*\n.*pip install "sacrebleu\[ko\]"'),
  ],
)
def test_what_is_not_there_is_said(tokenize, says, monkeypatch, tmp_path):
  monkeypatch.setattr(tokenizer_spm, 'SACREBLEU_DIR', str(tmp_path))
  for module in (tokenizer_ja_mecab, tokenizer_ko_mecab):
    monkeypatch.setattr(module, 'MeCab', None)
  with pytest.raises(UserError, match=says) as error:
    _text_scores.check(tokenize)
  assert len(str(error.value).splitlines()) <= 3


def test_a_tokenizer_of_sentencepiece_is_read_from_where_sacrebleu_keeps_it(monkeypatch, tmp_path):
  monkeypatch.setattr(tokenizer_spm, 'SACREBLEU_DIR', str(tmp_path))
  references = text.sentences(60)[0]
  (tmp_path / 'models').mkdir()
  model = base64.b64decode(tokenizers.train(references, 'bpe', 310).text)
  (tmp_path / 'models' / 'spbleu-1k_tokenizer_spm.model').write_bytes(model)
  _text_scores.check('spBLEU-1K')
  said = [references[1], *references[1:]]
  found = _text_scores.score(said, references, 'spBLEU-1K')
  assert found.bleu == sacrebleu.corpus_bleu(said, [references], tokenize='spBLEU-1K').score
  assert 'tok:spBLEU-1K' in found.signatures[0]


def test_sentences_too_short_for_four_words_are_scored_by_what_they_have():
  """sacrebleu's 0.0 of perfect ones is no news about their length."""
  references = ['a dog', 'the cat runs', 'a cat sleeps on the wall', 'x']
  length = np.array([2, 3, 6, 20])
  assert sacrebleu.corpus_bleu(references[:2], [references[:2]]).score == 0
  _, bleu, _ = _text_scores.by_length(references, references, length)
  np.testing.assert_allclose(bleu, [100, 100, 100])
  _, bleu, _ = _text_scores.by_length(['a dog', 'the dog runs', '', 'y'], references, length)
  effective = sacrebleu.BLEU(effective_order=True)
  wanted = effective.corpus_score(['a dog', 'the dog runs'], [references[:2]]).score
  np.testing.assert_allclose(bleu, [wanted, 0, 0])


def test_a_missing_reference_is_no_perfect_score():
  with pytest.raises(ValueError, match='2 sentences and 1 references'):
    _text_scores.score(['a b c d', 'x'], ['a b c d'])
