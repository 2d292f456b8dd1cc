"""Vocabularies of language models: text <-> tokens, with nothing added that does not stand there.

`vitlab.data.tokenizers` finds, learns and restores them. (The vocabularies of translation, in the
same file, end every line with EOS and have its numbers; these have whatever numbers they came with:
token 0 is an ordinary token in most.)
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int, Integer

from vitlab.errors import UserError

CONTINUES = '##'  # before a piece of WordPiece that goes on with a word
SPACES = ('Ġ', '▁')  # the space before a word, as byte-level BPE and sentencepiece write it
_BLANKS = (*SPACES, 'Ċ')  # and the end of a line, as the first does
Row: TypeAlias = Integer[np.ndarray, ' t'] | Sequence[int]  # of tokens


class Special(NamedTuple):
  """The numbers of the tokens that are no text, by what they are for; None: there is none."""

  pad: int | None = None
  bos: int | None = None
  eos: int | None = None
  unk: int | None = None
  cls: int | None = None
  sep: int | None = None
  mask: int | None = None

  @property
  def begin(self) -> int | None:
    """What a document begins with: bos or cls, else what ends the one before it."""
    return next((token for token in (self.bos, self.cls, self.end) if token is not None), None)

  @property
  def end(self) -> int | None:
    """What a document ends with: eos or sep."""
    return self.sep if self.eos is None else self.eos

  @property
  def around(self) -> tuple[int | None, int | None]:
    """What stands before a text, and behind each of a pair, where BERT reads them.

    [CLS] and [SEP]; a vocabulary without takes what begins and ends a text, or nothing.
    """
    return self.bos if self.cls is None else self.cls, self.eos if self.sep is None else self.sep


@runtime_checkable
class Vocabulary(Protocol):
  """What a language model and its text share.

  Attributes:
    pieces: How each token is written; as many as `len`, the largest number and one.
    text: All of it as a fact of a data set: JSON, see `vitlab.data.tokenizers.from_text`.
    special: Its special tokens.
    class_last: Whether the token of a classifier ends a row (XLNet's <cls>) and does not begin it.
  """

  pieces: list[str]
  text: str
  special: Special
  class_last: bool

  def __len__(self) -> int: ...

  def encode(self, texts: Sequence[str]) -> list[Int[np.ndarray, ' t']]:
    """The tokens of every text, and none beside them."""
    ...

  def decode(self, tokens: Row) -> str:
    """The text of a row; special tokens have none."""
    ...


def begins(vocabulary: Vocabulary) -> Bool[np.ndarray, ' vocab']:
  """Which tokens begin a word: those without '##', or with the space that stands before a word.

  Raises:
    UserError: the pieces do not say.
  """
  pieces = vocabulary.pieces
  special = np.isin(np.arange(len(pieces)), [t for t in vocabulary.special if t is not None])
  if any(piece.startswith(CONTINUES) for piece in pieces):
    return special | np.array([not piece.startswith(CONTINUES) for piece in pieces])
  if not any(len(piece) > 1 and piece[0] in _BLANKS for piece in pieces):
    raise UserError(
      'the pieces of this vocabulary do not say where a word begins'
      '\ntake data.tokenizer=wordpiece, byte_bpe or bpe, or leave out data.words'
    )
  return special | np.array([piece[:1] in _BLANKS or not piece[:1].isalnum() for piece in pieces])
