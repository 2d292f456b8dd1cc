"""Learning a vocabulary is repeatable, also in another process."""

import subprocess
import sys

import numpy as np
import pytest
from _helpers import text
from tokenizers import BertWordPieceTokenizer

from vitlab.data.vocabularies import Special, learned
from vitlab.errors import UserError

LINES = [line for side in text.sentences(200) for line in side]


def test_wordpiece_is_bert_s():
  vocabulary = learned.wordpiece(lambda: LINES, 60)
  assert len(vocabulary) <= 60 and vocabulary.special == Special(pad=0, unk=1, cls=2, sep=3, mask=4)
  theirs = BertWordPieceTokenizer({piece: i for i, piece in enumerate(vocabulary.pieces)})
  for line, tokens in zip(LINES, vocabulary.encode(LINES)):
    np.testing.assert_array_equal(tokens, theirs.encode(line, add_special_tokens=False).ids)
  assert vocabulary.decode(vocabulary.encode(['The DOG runs'])[0]) == 'the dog runs'


def test_byte_pairs_give_back_every_text():
  vocabulary = learned.byte_bpe(lambda: LINES, 300)
  assert len(vocabulary) == 300 and vocabulary.special == Special(bos=0, eos=0)
  for line in [*LINES[:50], '日本 🙂\n\n  dog\t', '\x00']:
    assert vocabulary.decode(vocabulary.encode([line])[0]) == line
  assert len(vocabulary.encode([' dog'])[0]) < 4


@pytest.mark.parametrize('kind, size', [('wordpiece', 60), ('byte_bpe', 300)])
def test_the_same_text_gives_the_same_vocabulary(kind, size):
  here = getattr(learned, kind)(lambda: LINES, size).text
  program = (
    'import sys; from _helpers import text; from vitlab.data.vocabularies import learned\n'
    f'lines = [line for side in text.sentences(200) for line in side]\n'
    f'print(learned.{kind}(lambda: lines, {size}).text)'
  )
  environment = dict(PYTHONPATH=':'.join(sys.path), PYTHONHASHSEED='7')
  there = subprocess.run(
    [sys.executable, '-c', program], capture_output=True, text=True, check=True, env=environment
  )
  assert there.stdout.strip() == here


def test_too_few_tokens_are_refused():
  with pytest.raises(UserError, match='vocab_size=100: .* needs at least 257'):
    learned.byte_bpe(lambda: LINES, 100)
