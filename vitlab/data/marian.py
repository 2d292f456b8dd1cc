"""The vocabulary of Marian (opus-mt): sentencepiece cuts the text, vocab.json numbers the pieces.

Source and target are cut by models of their own, source.spm and target.spm, whose own numbers mean
nothing. A source may begin with the language that is wanted: '>>fr<< Good morning'. These are the
tokens of Hugging Face without `sacremoses`, which changes the punctuation where it is installed.
"""

import base64
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sentencepiece
from jaxtyping import Int

from vitlab.errors import UserError
from vitlab.ops.tokens import EOS, SPECIAL, UNK

SOURCE, TARGET = 'source.spm', 'target.spm'
CONFIG, VOCABULARY = 'config.json', 'vocab.json'


class Marian:
  """A vocabulary, as `vitlab.data.tokenizers.Tokenizer` is one.

  Args:
    pieces: How each token is written, by our numbers: the special ones first.
    source: The serialised sentencepiece model that cuts the text that is read.
    target: The one that cuts the text that is said.
  """

  def __init__(self, pieces: Sequence[str], source: bytes, target: bytes):
    self.pieces = [*SPECIAL, *pieces[len(SPECIAL) :]]
    self._models = source, target
    self._source, self._target = (
      sentencepiece.SentencePieceProcessor(model_proto=model) for model in self._models
    )
    self._numbers = {piece: i for i, piece in enumerate(self.pieces)}

  def __len__(self) -> int:
    return len(self.pieces)

  @property
  def text(self) -> str:
    """The vocabulary as a fact of a data set: JSON; see `from_text`."""
    source, target = (base64.b64encode(model).decode() for model in self._models)
    return json.dumps(dict(pieces=self.pieces, source=source, target=target))

  def encode(self, lines: Sequence[str], target: bool = False) -> list[Int[np.ndarray, ' t']]:
    """Tokens of every line, of the source or the target, and EOS."""
    model = self._target if target else self._source
    rows = []
    for line in lines:
      code, rest = _language(line)
      pieces = [*code, *model.encode(rest, out_type=str)]
      rows.append(np.array([*(self._numbers.get(piece, UNK) for piece in pieces), EOS], np.int32))
    return rows

  def decode(self, tokens: Int[np.ndarray, ' t']) -> str:
    """The text of one row of the target; special tokens and padding have none."""
    pieces = [self.pieces[t] for t in tokens if t >= len(SPECIAL)]
    return self._target.decode_pieces(pieces).replace('▁', ' ').strip()


def _language(line: str) -> tuple[list[str], str]:
  """The code of the language that is wanted, if the line begins with one, and the rest."""
  end = line.find('<<') + 2 if line.startswith('>>') else 0
  return ([line[:end]], line[end:]) if end > 2 else ([], line)


def from_text(text: str) -> Marian:
  """The inverse of `Marian.text`."""
  known = json.loads(text)
  return Marian(known['pieces'], *(base64.b64decode(known[side]) for side in ('source', 'target')))


def load(folder: pathlib.Path) -> Marian:
  """The vocabulary of a folder of weights, with the numbers that its tokens have here.

  Raises:
    UserError: one of the four files is missing or damaged, or as `order`.
  """
  try:
    config, numbers = (json.loads((folder / name).read_text()) for name in (CONFIG, VOCABULARY))
    models = [(folder / name).read_bytes() for name in (SOURCE, TARGET)]
    words = {number: word for word, number in numbers.items()}
    pieces = [words[int(i)] for i in order(config, words, len(words))]
    return Marian(pieces, *models)
  except (OSError, ValueError, KeyError, AttributeError, RuntimeError) as error:
    names = ', '.join((CONFIG, VOCABULARY, SOURCE, TARGET))
    raise UserError(
      f'the vocabulary cannot be read: {error}\nput {names} of the same model there'
    ) from error


def order(
  config: Mapping[str, Any], words: Mapping[int, str], size: int
) -> Int[np.ndarray, ' tokens']:
  """Which of their tokens has each of our numbers: padding, start, end, unknown, then the others.

  Theirs comes twice where it is both padding and start.

  Args:
    config: config.json.
    words: Number -> word; {} if nobody says them.
    size: How many tokens they have.

  Raises:
    UserError: nothing says which token is <unk>, or they name one that there is not.
  """
  unknown = next((i for i, word in words.items() if word == SPECIAL[UNK]), None)
  special = {key: config[f'{key}_token_id'] for key in ('pad', 'decoder_start', 'eos')}
  special['unk'] = config.get('unk_token_id', unknown)
  if special['unk'] is None:
    raise UserError(f'no vocab.json says which token is {SPECIAL[UNK]}: put it beside config.json')
  for key, token in special.items():
    if not isinstance(token, int) or not 0 <= token < size:
      raise UserError(f'config.json: {key}_token_id={token!r} is none of the {size} tokens')
  first = list(special.values())
  return np.array(first + sorted(set(range(size)) - set(first)))
