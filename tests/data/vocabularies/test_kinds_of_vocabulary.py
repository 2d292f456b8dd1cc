"""Vocabularies by name and by path."""

import json

import pytest
from _helpers import text

from vitlab.data import tokenizers
from vitlab.data.vocabularies import Vocabulary, kinds
from vitlab.errors import UserError

LINES = [line for side in text.sentences(200) for line in side]
SIZES = dict(bpe=310, unigram=310, xlnet=60, byte_bpe=300, wordpiece=60)


@pytest.mark.parametrize('kind', kinds.KINDS)
def test_a_run_hands_its_vocabulary_on(kind, tmp_path):
  vocabulary = kinds.learn(kind, lambda: iter(['\n'.join(LINES)]), SIZES.get(kind, 0))
  assert isinstance(vocabulary, Vocabulary) and len(vocabulary.pieces) == len(vocabulary)
  assert len(vocabulary) == SIZES.get(kind, len(vocabulary))
  (tmp_path / 'facts.json').write_text(json.dumps(dict(tokenizer=vocabulary.text)))
  again = kinds.load(str(tmp_path))
  assert again.text == vocabulary.text
  assert tokenizers.of(dict(tokenizer=vocabulary.text)).pieces == vocabulary.pieces
  line = 'the dog\nsleeps'
  assert again.decode(again.encode([line])[0]) in (line, 'the dog sleeps')


@pytest.mark.parametrize('kind', kinds.LEARNED)
def test_of_too_long_a_text_every_nth_part_counts(kind, monkeypatch):
  part = kinds.learn(kind, lambda: LINES[::3], SIZES[kind])
  monkeypatch.setattr(kinds, 'SAMPLE', sum(map(len, LINES)) // 3 + 1)
  assert kinds.learn(kind, lambda: LINES, SIZES[kind]).text == part.text


def test_the_pieces_of_a_run_of_translation_serve_too(tmp_path):
  translation = tokenizers.train(LINES, 'bpe', 310)
  (tmp_path / 'facts.json').write_text(json.dumps(dict(tokenizer=translation.text)))
  assert kinds.load(str(tmp_path)).pieces[4:] == translation.pieces[4:]
  (tmp_path / 'facts.json').write_text(json.dumps(dict(tokenizer=kinds.Bytes().text)))
  with pytest.raises(UserError, match='language model, which ends no sentence'):
    tokenizers.load(str(tmp_path))


@pytest.mark.parametrize('name', ['wordpeice', 'empty', 'facts'])
def test_what_is_no_vocabulary_is_refused(tmp_path, name):
  (tmp_path / 'empty').mkdir()
  (tmp_path / 'facts').mkdir()
  (tmp_path / 'facts' / 'facts.json').write_text('{}')
  with pytest.raises(UserError, match='unknown tokenizer .* give chars, bytes, bpe') as error:
    kinds.load(str(tmp_path / name))
  assert str(error.value).count('\n') < 3
