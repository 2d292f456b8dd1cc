"""Any sentencepiece model serves a language model, and the ends of lines come back."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import numpy as np
import pytest
import sentencepiece
from _helpers import text

from vitlab.data import tokenizers
from vitlab.data.texts import labelled
from vitlab.data.vocabularies import Special, exported, kinds, pieces
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


NUMBERS = 'It costs 9,000 or 12, and 1,234,567, too, or 9,000, at 12, of x9, .'
ODD = ["``Fine'' (said he): 1,2, 33,\tcafé naïve", 'a\n  b  c ', '', NUMBERS, '9,000,', ' über 12,']


@pytest.fixture(scope='module')
def xlnets():
  lines = [*text.sentences(100)[0], *[NUMBERS] * 40, *ODD]
  return pieces.Pieces(pieces.train(lines, pieces.XLNET, 75, len(lines)))


def test_a_model_of_xlnet_is_read_as_transformers_reads_it(xlnets, tmp_path):
  from transformers import XLNetTokenizer, XLNetTokenizerFast

  for name, content in exported.files(xlnets.text).items():
    (tmp_path / name).write_bytes(content)
  theirs = XLNetTokenizer.from_pretrained(str(tmp_path))
  lines = [*ODD, *text.sentences(10)[0]]
  for line, found in zip(lines, xlnets.encode(lines), strict=True):
    assert found.tolist() == theirs(line, add_special_tokens=False).input_ids
  raw = xlnets._processor.encode(NUMBERS, out_type=str)
  assert any(piece[-1] == ',' and piece[-2:-1].isdigit() for piece in raw)
  for role in ('pad', 'bos', 'eos', 'unk', 'cls', 'sep', 'mask'):
    assert getattr(xlnets.special, role) == getattr(theirs, f'{role}_token_id')
  assert kinds.load(str(tmp_path)).text == xlnets.text

  whole = XLNetTokenizerFast.from_pretrained(str(tmp_path))
  whole.save_pretrained(tmp_path / 'fast')
  fast = kinds.load(str(tmp_path / 'fast'))
  assert fast.class_last and fast.special == xlnets.special
  for one, other in ((xlnets, theirs), (fast, whole)):
    for pair in (None, ['the dog 12,']):
      for length in (8, 64):
        ((tokens, segments),) = labelled.encode(one, ['a cat sleeps over there'], pair, length)
        wanted = other(['a cat sleeps over there'], pair, truncation=True, max_length=length)
        if one is fast or length > 8:  # their slow class cuts an odd token from the other text
          assert [tokens.tolist()] == wanted.input_ids
          assert [(segments - 1).tolist()] == wanted.token_type_ids
