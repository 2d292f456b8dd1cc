"""Characters and bytes, there and back."""

import numpy as np
import pytest

from vitlab.data import tokenizers
from vitlab.data.vocabularies import plain
from vitlab.errors import UserError

TEXT = 'To be,\nor not 🙂 日本 \u2581 \x00é'


def test_characters_are_numbered_as_nanogpt_does():
  vocabulary = plain.characters([TEXT[:5], TEXT[5:]])
  stoi = {c: i for i, c in enumerate(sorted(set(TEXT)))}
  (tokens,) = vocabulary.encode([TEXT])
  assert tokens.tolist() == [stoi[c] for c in TEXT] and len(vocabulary) == len(stoi)
  assert tokens.dtype == np.int32 and vocabulary.decode(tokens) == TEXT
  assert tokenizers.from_text(vocabulary.text).pieces == vocabulary.pieces == sorted(set(TEXT))
  assert vocabulary.encode([''])[0].shape == (0,) and vocabulary.decode([]) == ''


def test_a_character_that_is_not_there_is_named():
  with pytest.raises(UserError, match=r"'é' \(U\+00E9\) is none of the 3"):
    plain.Characters('abc').encode(['abéc'])


def test_bytes_hold_every_text():
  vocabulary = plain.Bytes()
  (tokens,) = vocabulary.encode([TEXT])
  assert tokens.tolist() == list(TEXT.encode()) and vocabulary.decode(tokens) == TEXT
  assert len(vocabulary.pieces) == len(vocabulary) == 256 == len(set(vocabulary.pieces))
  assert vocabulary.decode([0xF0, 0x9F]) == '\ufffd'
  assert isinstance(tokenizers.from_text(vocabulary.text), plain.Bytes)
