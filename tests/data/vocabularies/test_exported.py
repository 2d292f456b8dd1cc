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


def _gpt2(folder):
  """Of a folder as GPT-2 is published, whose tokenizer has a post-processor that adds nothing."""
  definition = json.loads(VOCABULARIES['byte_bpe'][0].definition)
  definition['post_processor'] = dict(
    type='ByteLevel', add_prefix_space=True, trim_offsets=False, use_regex=True
  )
  (folder / 'tokenizer.json').write_text(json.dumps(definition))
  return kinds.load(str(folder))


def _vocab_txt(folder):
  pieces = VOCABULARIES['wordpiece'][0].pieces
  (folder / 'vocab.txt').write_text(''.join(piece + '\n' for piece in pieces))
  return kinds.load(str(folder))


def test_transformers_puts_around_texts_what_bert_reads(tmp_path):
  (tmp_path / 'gpt2').mkdir()
  all_of_them = [VOCABULARIES[name][0] for name in ('wordpiece', 'byte_bpe')]
  for i, one in enumerate([*all_of_them, _vocab_txt(tmp_path), _gpt2(tmp_path / 'gpt2')]):
    folder = tmp_path / str(i)
    folder.mkdir()
    for file, content in exported.files(one.text, around=True).items():
      (folder / file).write_bytes(content)
    theirs = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    for pair in (None, ['de a']):
      ((tokens, segments),) = labelled.encode(one, ['a bc'], pair, 32)
      found = theirs(['a bc'], pair)
      assert found['input_ids'] == [tokens.tolist()]
      assert found['token_type_ids'] == [(segments - 1).tolist()]


def test_around_texts_of_a_language_model_stands_nothing(tmp_path):
  for name in ('byte_bpe', 'chars', 'bytes'):
    around = name != 'byte_bpe'  # those have nothing to put there
    files = exported.files(VOCABULARIES[name][0].text, around)
    assert files == exported.files(VOCABULARIES[name][0].text)
    for file, content in files.items():
      (tmp_path / file).write_bytes(content)
    theirs = AutoTokenizer.from_pretrained(str(tmp_path), local_files_only=True)
    assert theirs(TEXT)['input_ids'] == VOCABULARIES[name][0].encode([TEXT])[0].tolist()


def test_a_model_of_sentencepiece_is_one_file(tmp_path):
  vocabulary = pieces.Pieces(pieces.train(['a b c', 'b c d'] * 9, 'char', 12, 18))
  ((name, content),) = exported.files(vocabulary.text).items()
  (tmp_path / name).write_bytes(content)
  assert kinds.load(str(tmp_path)).text == vocabulary.text


def test_a_later_kind_is_refused():
  with pytest.raises(UserError, match="of a kind 'morse'"):
    exported.files(json.dumps(dict(kind='morse')))
