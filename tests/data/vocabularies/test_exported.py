"""Vocabularies as files of other libraries: their tokens are ours, and they come back."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import json

import pytest
from transformers import AutoTokenizer

from vitlab.data.texts import labelled
from vitlab.data.vocabularies import exported, kinds, learned, pieces, plain
from vitlab.errors import UserError

TEXT = 'Hé, wörld!\n  "x" → ž\ttab  \n'
VOCABULARIES = {
  'chars': (plain.characters([TEXT]), TEXT),
  'bytes': (plain.Bytes(), TEXT),
  'byte_bpe': (learned.byte_bpe(lambda: [TEXT] * 5, 300), TEXT + '<|endoftext|>'),
  'wordpiece': (learned.wordpiece(lambda: ['a bc de'] * 5, 60), 'a bc [MASK] de'),
}


@pytest.mark.parametrize('name', VOCABULARIES)
def test_transformers_reads_the_same_tokens_and_we_the_same_vocabulary(name, tmp_path):
  vocabulary, text = VOCABULARIES[name]
  for file, content in exported.files(vocabulary.text).items():
    (tmp_path / file).write_bytes(content)
  (tokens,) = vocabulary.encode([text])
  theirs = AutoTokenizer.from_pretrained(str(tmp_path), local_files_only=True)
  assert theirs(text, add_special_tokens=False)['input_ids'] == tokens.tolist()
  decoded = theirs.decode(tokens, skip_special_tokens=True)
  assert decoded == vocabulary.decode(tokens) and len(theirs) == len(vocabulary)
  for role in ('eos', 'mask', 'pad'):
    assert getattr(theirs, f'{role}_token_id') == getattr(vocabulary.special, role)
  again = kinds.load(str(tmp_path))
  assert type(again) is type(vocabulary) and again.text == vocabulary.text


def test_transformers_puts_around_texts_what_bert_reads(tmp_path):
  vocabulary = VOCABULARIES['wordpiece'][0]
  (tmp_path / 'vocab.txt').write_text(''.join(piece + '\n' for piece in vocabulary.pieces))
  for one in (vocabulary, kinds.load(str(tmp_path))):
    folder = tmp_path / type(one).__name__
    folder.mkdir(exist_ok=True)
    for file, content in exported.files(one.text).items():
      (folder / file).write_bytes(content)
    theirs = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    for pair in (None, ['de a']):
      ((tokens, segments),) = labelled.encode(one, ['a bc'], pair, 32)
      found = theirs(['a bc'], pair)
      assert found['input_ids'] == [tokens.tolist()]
      assert found['token_type_ids'] == [(segments - 1).tolist()]


def test_a_model_of_sentencepiece_is_one_file(tmp_path):
  vocabulary = pieces.Pieces(pieces.train(['a b c', 'b c d'] * 9, 'char', 12, 18))
  ((name, content),) = exported.files(vocabulary.text).items()
  (tmp_path / name).write_bytes(content)
  assert kinds.load(str(tmp_path)).text == vocabulary.text


def test_a_later_kind_is_refused():
  with pytest.raises(UserError, match="of a kind 'morse'"):
    exported.files(json.dumps(dict(kind='morse')))
