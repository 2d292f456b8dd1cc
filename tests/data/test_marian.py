"""The vocabulary of opus-mt: the tokens and the text of Hugging Face's tokenizer."""

import json

import numpy as np
import pytest
from _helpers import marian, text
from transformers import MarianTokenizer

from vitlab.data import tokenizers
from vitlab.data.sets import parallel
from vitlab.errors import UserError
from vitlab.ops.tokens import EOS, PAD, SPECIAL, UNK

LINES = text.sentences(300)
ASKED = [
  *LINES[0][:40],
  '>>xx<< a dog',
  '>>yy<< a dog',
  '>>never closed',
  'žörk  dog ',
  '',
  'a <b>\tcat',
  'ﬁx',
]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp('opus')
  marian.opus(path, LINES)
  return path


@pytest.fixture(scope='module')
def vocabulary(folder):
  return tokenizers.load(str(folder))


def numbers(folder):
  """Theirs -> ours."""
  theirs = json.loads((folder / 'vocab.json').read_text())
  pieces = tokenizers.load(str(folder)).pieces
  found = {theirs[piece]: i for i, piece in enumerate(pieces) if piece in theirs}
  return found | {theirs['<pad>']: PAD, theirs['</s>']: EOS, theirs['<unk>']: UNK}


@pytest.mark.parametrize('side', ['source', 'target'])
def test_tokens_are_those_of_hugging_face(side, folder, vocabulary):
  oracle, ours = MarianTokenizer.from_pretrained(folder), numbers(folder)
  asked = ASKED if side == 'source' else [*LINES[1][:40], *ASKED[40:]]
  key = 'text' if side == 'source' else 'text_target'
  wanted = [[ours[t] for t in row] for row in oracle(**{key: asked})['input_ids']]
  assert [row.tolist() for row in vocabulary.encode(asked, side == 'target')] == wanted
  assert any(UNK in row for row in wanted)


def test_texts_are_those_of_hugging_face(folder, vocabulary):
  oracle = MarianTokenizer.from_pretrained(folder)
  theirs = {i: t for t, i in numbers(folder).items()}
  for row in vocabulary.encode([*LINES[1][:40], 'žörk DOG', ''], target=True):
    wanted = oracle.decode([theirs[int(t)] for t in row], skip_special_tokens=True)
    assert vocabulary.decode(np.append(row, PAD)) == wanted
  assert vocabulary.decode(vocabulary.encode(LINES[1], target=True)[0]) == LINES[1][0]


def test_it_is_a_fact(vocabulary):
  again = tokenizers.from_text(json.loads(json.dumps(vocabulary.text)))
  assert again.pieces == vocabulary.pieces and again.pieces[:4] == list(SPECIAL)
  assert len(again) == len(vocabulary) == len(again.pieces) and again.text == vocabulary.text
  assert again.encode(ASKED)[40].tolist() == vocabulary.encode(ASKED)[40].tolist()


def test_text_is_read_with_it(folder, vocabulary, tmp_path):
  """Source and target by models of their own."""
  text.write(tmp_path, train=100)
  dataset = parallel.make(str(tmp_path), 'en', 'xx', tokenizer=str(folder), lengths=(64, 128))
  assert dataset.facts['vocab_size'] == len(vocabulary)
  source, target = text.sentences(100)
  example = dataset.splits['train'][7]
  assert example['tokens'].tolist() == vocabulary.encode(source)[7].tolist()
  assert vocabulary.decode(example['targets']) == target[7]
  assert example['targets'].tolist() != vocabulary.encode(target)[7].tolist()


@pytest.mark.parametrize('name', ['target.spm', 'vocab.json', 'config.json'])
@pytest.mark.parametrize('spoil', ['missing', 'damaged'])
def test_what_is_missing_is_named(name, spoil, tmp_path):
  marian.opus(tmp_path, LINES)
  (tmp_path / name).unlink()
  if spoil == 'damaged':
    (tmp_path / name).write_text('[')
  with pytest.raises(UserError, match='the vocabulary cannot be read') as error:
    tokenizers.load(str(tmp_path))
  assert str(tmp_path) in str(error.value) and len(str(error.value).splitlines()) <= 3
