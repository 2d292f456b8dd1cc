"""What goes in comes out: text, tokens and vocabularies."""

import json

import numpy as np
import pytest
import sentencepiece
from _helpers import text

from vitlab.data import tokenizers
from vitlab.data.vocabularies import learned, plain, published
from vitlab.errors import UserError
from vitlab.ops.tokens import BOS, EOS, PAD, SPECIAL, UNK

LINES = [line for side in text.sentences(300) for line in side]


@pytest.fixture(scope='module', params=['bpe', 'unigram', 'char'])
def vocabulary(request):
  return tokenizers.train(LINES, request.param, 310)


def test_decoding_gives_back_the_text(vocabulary):
  lines = LINES[:40] + ['  two  spaces ', 'dog\tcat', '</s> <s> runs']
  for line, tokens in zip(lines, vocabulary.encode(lines)):
    assert tokens.dtype == np.int32 and tokens[-1] == EOS
    assert not set(tokens[:-1].tolist()) & {PAD, BOS, EOS}
    if UNK not in tokens:
      assert vocabulary.decode(tokens) == line
      assert vocabulary.decode(np.append(tokens, [PAD, PAD])) == line
  assert UNK not in np.concatenate(vocabulary.encode(LINES))


@pytest.mark.parametrize('kind', ['bpe', 'unigram'])
def test_letters_that_were_never_seen_are_bytes(kind):
  vocabulary = tokenizers.train(LINES, kind, 310)
  strange = '日本 🙂 dog'
  (tokens,) = vocabulary.encode([strange])
  assert UNK not in tokens and vocabulary.decode(tokens) == strange


def test_one_character_is_not_given_back_and_that_is_said(caplog):
  """Of all that Unicode has below U+10000: the one with which sentencepiece writes a space."""
  vocabulary = tokenizers.train(LINES, 'bpe', 310)
  lines = [f'a{chr(i)}b' for i in range(2**16) if not 0xD800 <= i < 0xE000]
  lost = [
    line for line, row in zip(lines, vocabulary.encode(lines)) if vocabulary.decode(row) != line
  ]
  assert lost == ['a\u2581b'] and vocabulary.decode(vocabulary.encode(lost)[0]) == 'a b'
  assert caplog.messages[0].startswith(
    '1 of 63,488 lines hold \u2581 (U+2581), which is a space to'
  )
  assert caplog.messages[0].endswith('the first is a\u2581b')


def test_special_tokens_are_ours(vocabulary):
  assert vocabulary.pieces[:4] == list(SPECIAL)
  assert len(vocabulary.pieces) == len(vocabulary)
  assert len(set(vocabulary.pieces)) == len(vocabulary)


def test_a_vocabulary_is_a_fact(vocabulary):
  again = tokenizers.from_text(json.loads(json.dumps(vocabulary.text)))
  assert again.pieces == vocabulary.pieces
  for a, b in zip(again.encode(LINES), vocabulary.encode(LINES)):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize('kind', ['bpe', 'unigram'])
def test_the_same_text_gives_the_same_vocabulary(kind):
  first, second = (tokenizers.train(iter(LINES), kind, 310) for _ in range(2))
  assert first.text == second.text and len(first) == 310


def test_of_too_much_text_every_nth_line_counts(monkeypatch):
  monkeypatch.setattr(tokenizers, 'SAMPLE', 200)
  part = tokenizers.train(LINES[::3], 'bpe', 310)
  assert tokenizers.train(LINES, 'bpe', 310).text == part.text


def test_from_a_run_or_a_file(tmp_path, vocabulary):
  (tmp_path / 'facts.json').write_text(json.dumps({'tokenizer': vocabulary.text}))
  assert tokenizers.load(str(tmp_path)).text == vocabulary.text
  sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(LINES),
    model_prefix=str(tmp_path / 'mine'),
    vocab_size=310,
    byte_fallback=True,
    **dict(pad_id=0, bos_id=1, eos_id=2, unk_id=3, minloglevel=2),
  )
  assert len(tokenizers.load(str(tmp_path / 'mine.model'))) == 310


def test_other_special_tokens_are_refused(tmp_path):
  sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(LINES),
    model_prefix=str(tmp_path / 'theirs'),
    vocab_size=60,
    minloglevel=2,
  )
  with pytest.raises(UserError, match=r'unk = -1, 1, 2, 0; vitlab needs 0, 1, 2, 3'):
    tokenizers.load(str(tmp_path / 'theirs.model'))


@pytest.mark.parametrize('content', [None, b'', b'{}', b'\x00\x01'])
def test_what_is_no_vocabulary_is_refused(tmp_path, content):
  if content is not None:
    (tmp_path / 'facts.json').write_bytes(content)
  with pytest.raises(UserError, match='no vocabulary in'):
    tokenizers.load(str(tmp_path))
  with pytest.raises(UserError, match='no vocabulary in|no sentencepiece model'):
    tokenizers.load(str(tmp_path / 'facts.json'))


def test_more_tokens_than_the_text_gives():
  with pytest.raises(
    UserError, match=r'no bpe vocabulary of 5000 tokens .* 600 lines: .* a value <= \d'
  ):
    tokenizers.train(LINES, 'bpe', 5000)


def test_unknown_kinds_are_refused():
  with pytest.raises(UserError, match='did you mean bpe'):
    tokenizers.train(LINES, 'bp', 310)


def test_another_vocabulary_is_refused(vocabulary):
  ours, theirs = dict(tokenizer=vocabulary.text), dict(tokenizer='other')
  tokenizers.check_same(ours, ours, 'runs/a')
  tokenizers.check_same({}, theirs, 'runs/a')
  with pytest.raises(UserError, match=r'data\.tokenizer=runs/a'):
    tokenizers.check_same(ours, theirs, 'runs/a')


def test_other_words_are_refused_and_unknown_ones_named(caplog):
  ours = dict(vocabulary=['a', 'b'], tokenizer='ours')
  tokenizers.check_same(ours, dict(vocabulary=('a', 'b')), 'weights')
  tokenizers.check_same(ours, None, 'weights')
  assert not caplog.records
  with pytest.raises(UserError, match='weights was trained with .*: .*\n.*start anew'):
    tokenizers.check_same(ours, dict(vocabulary=['b', 'a']), 'weights', 'start anew')
  tokenizers.check_same(ours, dict(vocabulary=[]), 'weights')
  assert [r.message for r in caplog.records] == [
    'weights: words without names are known by their position alone'
  ]


def test_words_of_data_that_are_generated():
  words = tokenizers.Words(['<pad>', '<s>', '</s>', '<unk>', '0', '1'])
  (row,) = words.encode(['1 0  x'])
  assert row.tolist() == [5, 4, 3, 2] and words.decode(row) == '1 0 <unk>'


def test_both_sizes_are_said_and_pieces_decide():
  facts = [dict(tokenizer=plain.Characters(c).text, vocab_size=len(c)) for c in ('ab', 'abc')]
  said = r'this text \(2 tokens\) is not the one that gpt was trained with \(3 tokens\)'
  with pytest.raises(UserError, match=said):
    tokenizers.check_same(*facts, 'gpt')
  alike = [
    dict(tokenizer=published.Published(text, {}).text)
    for text in (learned.byte_bpe(lambda: LINES, 280).definition,) * 2
  ]
  alike[1] = dict(
    tokenizer=alike[1]['tokenizer'].replace('"add_prefix_space": false', '"add_prefix_space": true')
  )
  assert alike[0] != alike[1]
  tokenizers.check_same(*alike, 'gpt')
