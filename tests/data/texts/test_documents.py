"""Documents come whole, and pieces of them never cut a token."""

import random

import numpy as np
import pytest

from vitlab.data.texts import documents as documents_lib
from vitlab.data.texts.reading import Text
from vitlab.data.vocabularies import learned
from vitlab.errors import UserError

MANY = 'one\ntwo\r\n\n  \nthree\n\n\n\nfour five\n<|endoftext|>\nsix\n'
WANTED = dict(
  line=['one', 'two', 'three', 'four five', '<|endoftext|>', 'six'],
  paragraph=['one\ntwo', 'three', 'four five\n<|endoftext|>\nsix'],
)
WANTED['<|endoftext|>'] = ['one\ntwo\r\n\n  \nthree\n\n\n\nfour five', 'six']
WANTED['file'] = WANTED[''] = [MANY]


def whole(pieces):
  """The documents that pieces make up."""
  found = ['']
  for text, last in pieces:
    found[-1] += text
    found += [''] * last
  assert found.pop() == ''
  return found


def text(content, block):
  return Text('x', lambda: (content[i : i + block] for i in range(0, len(content), block)))


@pytest.mark.parametrize('between', WANTED)
@pytest.mark.parametrize('block', [1, 2, 5, 7, 1000])
def test_documents_do_not_depend_on_blocks(between, block):
  texts = [text(MANY, block), text('', block), text('last', block)]
  assert whole(documents_lib.documents(texts, between)) == [*WANTED[between], 'last']


@pytest.mark.parametrize('block', [3, 1000])
def test_the_tokens_of_the_pieces_are_those_of_the_whole(monkeypatch, block):
  monkeypatch.setattr(documents_lib, '_PIECE', 200)
  words = ['dog', "don't", '  ', '\n', '\n\n', ' ', '\r\n', 'x1', '…', '\t', 'é', '1,000', '!']
  content = ''.join(random.Random(0).choices(words, k=9000))
  pieces = [piece for piece, _ in documents_lib.documents([text(content, block)], '')]
  assert ''.join(pieces) == content and len(pieces) > 50 and max(map(len, pieces)) <= 400
  for learn, size in ((learned.byte_bpe, 300), (learned.wordpiece, 60)):
    vocabulary = learn(lambda: [content], size)
    together = np.concatenate(vocabulary.encode(pieces))
    np.testing.assert_array_equal(together, vocabulary.encode([''.join(pieces)])[0])


def test_a_text_without_a_good_place_is_cut_anywhere(monkeypatch):
  monkeypatch.setattr(documents_lib, '_PIECE', 10)
  pieces = [piece for piece, _ in documents_lib.documents([text('!' * 95, 7)], '')]
  assert ''.join(pieces) == '!' * 95 and max(map(len, pieces)) <= 20


@pytest.mark.parametrize('between', ['  ', 'lines', 'paragraphs'])
def test_a_mark_that_is_none_is_refused(between):
  with pytest.raises(UserError, match='line, paragraph or a mark'):
    documents_lib.check_between(between)
