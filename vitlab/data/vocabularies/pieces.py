"""A sentencepiece model as the vocabulary of a language model: any model, with its own numbers.

sentencepiece knows lines and no text, so a text is encoded line by line, and a token for the end of
a line stands between them: the piece or the byte that the model has for it.

XLNet's own models (a spiece.model, known by its <cls>) read a text without its accents and the ends
of its lines, and a comma behind a number by itself, as transformers' XLNetTokenizer does.
"""

import base64
import io
import json
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import sentencepiece
from jaxtyping import Int

from vitlab.data.vocabularies import SPACES, Row, Special
from vitlab.errors import UserError
from vitlab.ops.tokens import BOS, EOS, PAD, UNK

KIND = 'sentencepiece'
XLNET, SPACE = 'xlnet', SPACES[1]
KINDS = ('bpe', 'unigram', 'char')
_NAMED = dict(pad='<pad>', cls='<cls>', sep='<sep>', mask='<mask>')
_OF_XLNET = dict(  # as its authors have learned theirs
  model_type='unigram',
  hard_vocab_limit=False,  # fewer pieces where the text does not give as many
  control_symbols=['<cls>', '<sep>', '<pad>', '<mask>', '<eod>'],  # numbers 3 to 7
  user_defined_symbols=['<eop>', '.', '(', ')', '"', '-', '–', '£', '€'],
)


class Pieces:
  """See the top of the file.

  Args:
    model: Serialised, as sentencepiece writes it to a .model file.

  Raises:
    UserError: it is none.
  """

  def __init__(self, model: bytes):
    self._model = model
    self._processor = sentencepiece.SentencePieceProcessor()
    try:
      self._processor.LoadFromSerializedProto(model)
    except RuntimeError:
      model = b''
    if not model:
      raise UserError('this is no sentencepiece model')
    p = self._processor
    self.pieces = [p.id_to_piece(i) for i in range(p.get_piece_size())]
    number = {piece: i for i, piece in enumerate(self.pieces)}
    ids = dict(pad=p.pad_id(), bos=p.bos_id(), eos=p.eos_id(), unk=p.unk_id())
    named = {role: number[word] for role, word in _NAMED.items() if word in number}
    self.special = Special(**named | {role: token for role, token in ids.items() if token >= 0})
    self.class_last = self.special.cls is not None  # only XLNet's have one
    self._newline = number.get('\n', number.get('<0x0A>'))
    self._silent = {token for token in self.special if token is not None} - {self.special.unk}

  def __len__(self) -> int:
    return len(self.pieces)

  @property
  def text(self) -> str:
    """See `vitlab.data.vocabularies.Vocabulary`."""
    return json.dumps(dict(kind=KIND, model=base64.b64encode(self._model).decode()))

  def encode(self, texts: Sequence[str]) -> list[Int[np.ndarray, ' t']]:
    """The tokens of every text, line by line."""
    if self.class_last:
      return [np.array(self._as_xlnet(text), np.int32) for text in texts]
    between = [] if self._newline is None else [self._newline]
    rows = []
    for text in texts:
      first, *others = self._processor.encode(text.split('\n'))
      rows.append(np.array([*first, *(t for line in others for t in between + line)], np.int32))
    return rows

  def _as_xlnet(self, text: str) -> list[int]:
    found: list[str] = []
    for piece in self._processor.encode(_plain(text), out_type=str):
      found += self._number(piece) if piece.endswith(',') and piece[-2:-1].isdigit() else [piece]
    return self._processor.piece_to_id(found)

  def _number(self, piece: str) -> list[str]:
    """A number with a comma behind it -> its pieces, and the comma."""
    digits = self._processor.encode(piece[:-1].replace(SPACE, ''), out_type=str)
    if not piece.startswith(SPACE):  # the space is that of a text, which begins here anew
      digits[0] = digits[0].removeprefix(SPACE)
    return [*filter(None, digits), ',']

  def decode(self, tokens: Row) -> str:
    """The text of a row; special tokens have none."""
    lines: list[list[int]] = [[]]
    for token in map(int, tokens):
      if token == self._newline:
        lines.append([])
      elif token not in self._silent:
        lines[-1].append(token)
    return '\n'.join(self._processor.decode(line) for line in lines)


def _plain(text: str) -> str:
  """A text as XLNet reads it: in one line, without accents."""
  line = ' '.join(text.split()).replace('``', '"').replace("''", '"')
  letters = unicodedata.normalize('NFKD', line)
  return ''.join(letter for letter in letters if not unicodedata.combining(letter))


def train(lines: Sequence[str], kind: str, vocab_size: int, of: int) -> bytes:
  """Learns a model with our special tokens; the same lines always give the same.

  Args:
    lines: Of text, not normalised.
    kind: One of `KINDS`; all but characters fall back to bytes. Or `XLNET`: a unigram model with
      the special tokens of XLNet in the place of ours, of a text that is normalised.
    vocab_size: Special tokens and bytes included; of characters and `XLNET`: at most.
    of: How many lines there were to take these from, for messages.

  Raises:
    UserError: the text does not give as many pieces.
  """
  model = io.BytesIO()
  try:
    sentencepiece.SentencePieceTrainer.train(
      sentence_iterator=map(_plain, lines) if kind == XLNET else iter(lines),
      model_writer=model,
      vocab_size=vocab_size,
      character_coverage=1.0,
      num_threads=1,  # sums of probabilities depend on how the lines are divided
      minloglevel=2,
      **(_OF_XLNET if kind == XLNET else _ours(kind)),
    )
  except (RuntimeError, ValueError, OSError) as error:
    reason = str(error).rpartition('] ')[2]
    raise UserError(
      f'no {kind} vocabulary of {vocab_size} tokens can be learned from {of:,} lines: '
      f'{reason}\nset data.vocab_size to what the text can give, or take characters as tokens'
    ) from None
  return model.getvalue()


def _ours(kind: str) -> dict[str, Any]:
  """Options of a model whose text comes back as it was."""
  return dict(
    model_type=kind,
    hard_vocab_limit=kind != 'char',
    byte_fallback=kind != 'char',
    normalization_rule_name='identity',
    remove_extra_whitespaces=False,
    pad_id=PAD,
    bos_id=BOS,
    eos_id=EOS,
    unk_id=UNK,
  )
