"""A sentencepiece model as the vocabulary of a language model: any model, with its own numbers.

sentencepiece knows lines and no text, so a text is encoded line by line, and a token for the end of
a line stands between them: the piece or the byte that the model has for it. A model with neither
(XLNet's) reads the end of a line as the space that its next word begins with anyway.
"""

import base64
import io
import json
from collections.abc import Sequence

import numpy as np
import sentencepiece
from jaxtyping import Int

from vitlab.data.vocabularies import Row, Special
from vitlab.errors import UserError
from vitlab.ops.tokens import BOS, EOS, PAD, UNK

KIND = 'sentencepiece'
KINDS = ('bpe', 'unigram', 'char')
_NAMED = dict(cls='<cls>', sep='<sep>', mask='<mask>')


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
    found = {role: token for role, token in ids.items() if token >= 0}
    self.special = Special(**found, **{r: number[w] for r, w in _NAMED.items() if w in number})
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
    between = [] if self._newline is None else [self._newline]
    rows = []
    for text in texts:
      first, *others = self._processor.encode(text.split('\n'))
      rows.append(np.array([*first, *(t for line in others for t in between + line)], np.int32))
    return rows

  def decode(self, tokens: Row) -> str:
    """The text of a row; special tokens have none."""
    lines: list[list[int]] = [[]]
    for token in map(int, tokens):
      if token == self._newline:
        lines.append([])
      elif token not in self._silent:
        lines[-1].append(token)
    return '\n'.join(self._processor.decode(line) for line in lines)


def train(lines: Sequence[str], kind: str, vocab_size: int, of: int) -> bytes:
  """Learns a model with our special tokens; the same lines always give the same.

  Args:
    lines: Of text, not normalised.
    kind: One of `KINDS`; all but characters fall back to bytes.
    vocab_size: Special tokens and bytes included; of characters: at most.
    of: How many lines there were to take these from, for messages.

  Raises:
    UserError: the text does not give as many pieces.
  """
  model = io.BytesIO()
  try:
    sentencepiece.SentencePieceTrainer.train(
      sentence_iterator=iter(lines),
      model_writer=model,
      model_type=kind,
      vocab_size=vocab_size,
      hard_vocab_limit=kind != 'char',
      byte_fallback=kind != 'char',
      character_coverage=1.0,
      normalization_rule_name='identity',
      remove_extra_whitespaces=False,
      num_threads=1,  # sums of probabilities depend on how the lines are divided
      pad_id=PAD,
      bos_id=BOS,
      eos_id=EOS,
      unk_id=UNK,
      minloglevel=2,
    )
  except (RuntimeError, ValueError, OSError) as error:
    reason = str(error).rpartition('] ')[2]
    raise UserError(
      f'no {kind} vocabulary of {vocab_size} tokens can be learned from {of:,} lines: '
      f'{reason}\nset data.vocab_size to what the text can give, or take characters as tokens'
    ) from None
  return model.getvalue()
