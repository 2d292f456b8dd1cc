"""The vocabularies that need no learning: the characters of a text, or bytes."""

import json
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int

from vitlab.data.vocabularies import Row, Special
from vitlab.errors import UserError

CHARS, BYTES = 'chars', 'bytes'
_UNICODE = 0x110000  # code points that there can be


class Characters:
  """Every character of a text is a token, in the order of Unicode (that of nanoGPT).

  Args:
    characters: All that there are, each once.
  """

  special = Special()
  class_last = False

  def __init__(self, characters: str):
    self.pieces = list(characters)
    self._points = np.array([ord(c) for c in characters], np.uint32)
    self._numbers = np.full(_UNICODE, -1, np.int32)
    self._numbers[self._points] = np.arange(len(self._points))

  def __len__(self) -> int:
    return len(self.pieces)

  @property
  def text(self) -> str:
    """See `vitlab.data.vocabularies.Vocabulary`."""
    return json.dumps(dict(kind=CHARS, characters=''.join(self.pieces)))

  def encode(self, texts: Sequence[str]) -> list[Int[np.ndarray, ' t']]:
    """The number of every character.

    Raises:
      UserError: a character that the vocabulary has not.
    """
    return [self._encode(text) for text in texts]

  def _encode(self, text: str) -> Int[np.ndarray, ' t']:
    tokens = self._numbers[points(text)]
    if len(tokens) and tokens.min() < 0:
      missing = text[int(np.argmin(tokens))]
      raise UserError(
        f'the character {missing!r} (U+{ord(missing):04X}) is none of the {len(self)} of this '
        f'vocabulary\nleave it out, or learn the model with data.tokenizer={BYTES}'
      )
    return tokens

  def decode(self, tokens: Row) -> str:
    """The text of a row."""
    return self._points[np.asarray(tokens, np.int64)].astype('<u4').tobytes().decode('utf-32-le')


class Bytes:
  """Every byte of the UTF-8 of a text is a token: 256 of them, whatever the language."""

  special = Special()
  class_last = False
  pieces = [chr(i) if 32 < i < 127 else f'<0x{i:02X}>' for i in range(256)]
  text = json.dumps(dict(kind=BYTES))

  def __len__(self) -> int:
    return 256

  def encode(self, texts: Sequence[str]) -> list[Int[np.ndarray, ' t']]:
    """The bytes of every text."""
    return [np.frombuffer(text.encode(), np.uint8).astype(np.int32) for text in texts]

  def decode(self, tokens: Row) -> str:
    """The text of a row; what is no UTF-8 is U+FFFD."""
    return bytes(int(token) for token in tokens).decode(errors='replace')


def characters(texts: Iterable[str]) -> Characters:
  """The vocabulary of all characters that occur."""
  seen = np.zeros(_UNICODE, bool)
  for text in texts:
    seen[points(text)] = True
  return Characters(''.join(map(chr, np.flatnonzero(seen))))


def points(text: str) -> Int[np.ndarray, ' t'] | np.ndarray:
  """The code points of a text; a lone surrogate is one, too."""
  return np.frombuffer(text.encode('utf-32-le', 'surrogatepass'), '<u4')
