"""Any sentencepiece model serves a language model, and the ends of lines come back."""

import numpy as np
import pytest
import sentencepiece
from _helpers import text

from vitlab.data import tokenizers
from vitlab.data.vocabularies import Special, pieces
from vitlab.errors import UserError

LINES = [line for side in text.sentences(200) for line in side]


@pytest.fixture(scope='module', params=['bpe', 'unigram'])
def vocabulary(request):
  return pieces.Pieces(pieces.train(LINES, request.param, 310, len(LINES)))


def test_a_text_is_its_lines(vocabulary):
  for line in ('a dog\n\n  the cat \n', '\n', '', 'dog', '日本\n🙂'):
    (tokens,) = vocabulary.encode([line])
    assert tokens.dtype == np.int32 and vocabulary.decode(tokens) == line
    assert not set(tokens.tolist()) & {0, 1, 2, 3}
  whole = vocabulary.encode(['a dog\nthe cat'])[0]
  np.testing.assert_array_equal(np.concatenate(vocabulary.encode(['a dog', '\nthe cat'])), whole)


def test_the_numbers_are_those_of_the_model(tmp_path):
  sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(LINES), model_prefix=str(tmp_path / 'x'), vocab_size=60, minloglevel=2,
    control_symbols=['<cls>', '<sep>'],
  )  # fmt: skip
  vocabulary = pieces.Pieces((tmp_path / 'x.model').read_bytes())
  assert vocabulary.special == Special(bos=1, eos=2, unk=0, cls=3, sep=4)
  tokens = vocabulary.encode(['a dog\nthe cat'])[0]  # it has no piece for the end of a line
  assert vocabulary.decode(tokens) == 'a dog the cat'


def test_a_vocabulary_is_a_fact(vocabulary):
  again = tokenizers.from_text(vocabulary.text)
  assert isinstance(again, pieces.Pieces) and again.pieces == vocabulary.pieces
  assert len(again) == 310 and again.special == Special(pad=0, bos=1, eos=2, unk=3)


@pytest.mark.parametrize('content', [b'', b'\x00\x01'])
def test_what_is_none_is_refused(content):
  with pytest.raises(UserError, match='no sentencepiece model'):
    pieces.Pieces(content)
