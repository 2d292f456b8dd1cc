"""Text <-> tokens, by a vocabulary that is learned from the training text and travels with the run.

sentencepiece does the work (Kudo & Richardson 2018, arXiv:1808.06226): byte-pair encoding
(Sennrich et al. 2016, arXiv:1508.07909), a unigram model (Kudo 2018, arXiv:1804.10959) or
characters. The text is not normalised, and pieces fall back to bytes: `decode` gives back what
`encode` was given. Characters alone have an unknown one. U+2581, with which sentencepiece writes a
space, comes back as one: nothing that it can be told keeps them apart, so it is counted and said.
"""

import base64
import logging
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import sentencepiece
from jaxtyping import Int

from vitlab.data import marian
from vitlab.data.marian import Marian
from vitlab.data.vocabularies import Vocabulary, kinds, pieces
from vitlab.errors import UserError, unknown
from vitlab.ops.tokens import BOS, EOS, PAD, SPECIAL, UNK

_log = logging.getLogger(__name__)
KINDS = pieces.KINDS
SAMPLE = 1_000_000  # lines that a vocabulary is learned from, at most
SPACE = '\u2581'  # how sentencepiece writes a space
_CHUNK = 100_000  # lines that are encoded at a time: sentencepiece returns lists of Python numbers


class Tokenizer:
  """A vocabulary.

  Args:
    model: Serialised, as sentencepiece writes it to a .model file.

  Raises:
    UserError: it is none, or its special tokens are not ours.
  """

  def __init__(self, model: bytes):
    self._model = model
    try:
      self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    except RuntimeError:
      self._processor = sentencepiece.SentencePieceProcessor()
    if not len(self):  # of no bytes it makes a model without pieces
      raise UserError('this is no sentencepiece model')
    p = self._processor
    if (p.pad_id(), p.bos_id(), p.eos_id(), p.unk_id()) != (PAD, BOS, EOS, UNK):
      raise UserError(
        f'a sentencepiece model with pad, bos, eos, unk = {p.pad_id()}, {p.bos_id()}, '
        f'{p.eos_id()}, {p.unk_id()}; vitlab needs {PAD}, {BOS}, {EOS}, {UNK}\n'
        f'train it with --pad_id={PAD} --bos_id={BOS} --eos_id={EOS} --unk_id={UNK}'
      )

  def __len__(self) -> int:
    return self._processor.get_piece_size()

  @property
  def text(self) -> str:
    """The vocabulary as a fact of a data set: base64 of the model; see `from_text`."""
    return base64.b64encode(self._model).decode()

  @property
  def pieces(self) -> list[str]:
    """How each token is written; a space is '▁'."""
    return [*SPECIAL, *(self._processor.id_to_piece(i) for i in range(len(SPECIAL), len(self)))]

  def encode(self, lines: Sequence[str], target: bool = False) -> list[Int[np.ndarray, ' t']]:
    """Tokens of every line, and EOS; those of source and target are the same."""
    del target
    lost = [line for line in lines if SPACE in line]
    if lost:
      _log.warning(
        '%s of %s lines hold %s (U+2581), which is a space to the vocabulary; the first is %.60s',
        *(f'{len(lost):,}', f'{len(lines):,}', SPACE, lost[0]),
      )
    rows = []
    for start in range(0, len(lines), _CHUNK):
      part = self._processor.encode(list(lines[start : start + _CHUNK]), add_eos=True)
      rows += [np.array(row, np.int32) for row in part]
    return rows

  def decode(self, tokens: Int[np.ndarray, ' t']) -> str:
    """The text of one row; special tokens and padding have none."""
    return self._processor.decode([int(t) for t in tokens if t not in (PAD, BOS, EOS)])


class Words:
  """A vocabulary of whole words, separated by spaces: that of data that are generated.

  Args:
    pieces: Them, the special ones first.
  """

  def __init__(self, pieces: Sequence[str]):
    self.pieces = list(pieces)
    self._numbers = {word: i for i, word in enumerate(pieces)}

  def encode(self, lines: Sequence[str], target: bool = False) -> list[Int[np.ndarray, ' t']]:
    """Tokens of every line, and EOS; those of source and target are the same."""
    del target
    rows = ([self._numbers.get(word, UNK) for word in line.split()] for line in lines)
    return [np.array([*row, EOS], np.int32) for row in rows]

  def decode(self, tokens: Int[np.ndarray, ' t']) -> str:
    """The text of one row; special tokens and padding have none."""
    return ' '.join(self.pieces[t] for t in tokens if t not in (PAD, BOS, EOS))


def train(lines: Iterable[str], kind: str, vocab_size: int) -> Tokenizer:
  """Learns a vocabulary; the same lines always give the same.

  Args:
    lines: Of text; of more than a million every n-th counts.
    kind: 'bpe', 'unigram' or 'char'.
    vocab_size: Special tokens and bytes included; of characters: at most.

  Raises:
    UserError: an unknown kind; the text does not give as many pieces.
  """
  if kind not in KINDS:
    raise unknown('tokenizer', kind, KINDS)
  lines = list(lines)
  return Tokenizer(pieces.train(lines[:: -(-len(lines) // SAMPLE)], kind, vocab_size, len(lines)))


def load(path: str) -> Tokenizer | Marian:
  """The vocabulary of a run or of Marian (its folder), or a .model file of sentencepiece.

  Raises:
    UserError: neither is there, or as `Tokenizer`.
  """
  import json

  place = pathlib.Path(path).expanduser()
  try:
    if (place / marian.SOURCE).exists():
      return marian.load(place)
    if place.is_dir():
      found = from_text(json.loads((place / 'facts.json').read_text())['tokenizer'])
      if isinstance(found, Vocabulary):
        raise UserError('it is the vocabulary of a language model, which ends no sentence')
      return found
    return Tokenizer(place.read_bytes())
  except (OSError, ValueError, KeyError):
    raise UserError(
      f'no vocabulary in {path!r}: give {", ".join(KINDS)}, the folder of a run that reads text '
      'or of opus-mt, or a .model file of sentencepiece'
    ) from None
  except UserError as error:
    raise UserError(f'{path}: {error}') from None


def from_text(text: str) -> Tokenizer | Marian | Vocabulary:
  """The inverse of `Tokenizer.text`, `Marian.text` and `Vocabulary.text`."""
  if kinds.is_one(text):
    return kinds.from_text(text)
  if text.startswith('{'):
    return marian.from_text(text)
  return Tokenizer(base64.b64decode(text))


def of(facts: Mapping[str, Any]) -> Tokenizer | Marian | Vocabulary | Words | None:
  """The vocabulary among the facts of a data set; None: its examples are no sentences."""
  if facts.get('tokenizer'):
    return from_text(facts['tokenizer'])
  return Words(facts['vocabulary']) if facts.get('vocabulary') else None


def of_language(facts: Mapping[str, Any], where: str) -> Vocabulary:
  """The vocabulary that a language model or a classifier of texts was trained with.

  Args:
    facts: Those of its data set.
    where: The model, for the message.

  Raises:
    UserError: there is none.
  """
  found = of(facts)
  if not isinstance(found, Vocabulary):
    raise UserError(
      f'{where}: nothing says which text its tokens stand for\nput the tokenizer.json '
      'of these weights, or their vocab.txt, or vocab.json and merges.txt, beside them'
    )
  return found


def check_same(
  facts: Mapping[str, Any], others: Mapping[str, Any] | None, where: str, instead: str = ''
) -> None:
  """Raises UserError if a data set and a model both have vocabularies, and they differ.

  Args:
    facts: Of the data set at hand.
    others: Of the data set that the model was trained on; None: there is none.
    where: The folder of that model.
    instead: What can be done about it; by default to give the text the vocabulary of that folder.
  """
  for key in ('tokenizer', 'vocabulary'):  # not every model has the first, which says more
    ours, theirs = facts.get(key), (others or {}).get(key)
    if not ours or not theirs:
      continue
    if _same(ours, theirs):
      return
    instead = instead or (
      f'give it the text it was trained on, or this text its vocabulary: data.tokenizer={where}'
    )
    raise UserError(
      f'the vocabulary of this text{_size(facts)} is not the one that {where} was trained with'
      f'{_size(others)}: the same tokens would mean other words\n{instead}'
    )
  if facts.get('vocabulary') and others is not None:
    _log.warning('%s: words without names are known by their position alone', where)


def _same(ours: str | Sequence[str], theirs: str | Sequence[str]) -> bool:
  """Whether tokens mean the same; of language models also where texts are cut differently."""
  if not isinstance(ours, str) or not isinstance(theirs, str):
    return list(ours) == list(theirs)
  if ours != theirs and kinds.is_one(ours) and kinds.is_one(theirs):
    return kinds.from_text(ours).pieces == kinds.from_text(theirs).pieces
  return ours == theirs


def _size(facts: Mapping[str, Any]) -> str:
  count = facts.get('vocab_size') or len(facts.get('vocabulary') or ())
  return f' ({count:,} tokens)' if count else ''
