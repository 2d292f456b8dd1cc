"""Pairs of sentences in memory: from lines of two languages to splits of tokens by length."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from vitlab.data import Dataset, Example, tokenizers
from vitlab.data.identity import digest_of_arrays
from vitlab.data.marian import Marian
from vitlab.data.sources import ByLength
from vitlab.data.tokenizers import Tokenizer
from vitlab.errors import UserError

_log = logging.getLogger(__name__)
TRAIN = 'train'  # the split from which what cannot be learned from is left out


class Lines(NamedTuple):
  """A split as text, line i of the source with line i of the target.

  Attributes:
    source: Its lines.
    target: Theirs.
    name: Where they are from, for messages.
  """

  source: Sequence[str]
  target: Sequence[str]
  name: str


class Rows:
  """Rows of unequal length as one array: millions of small ones take ten times the memory."""

  def __init__(self, flat: Any, counts: Sequence[int] | Int[np.ndarray, ' _']):
    self.flat, self.ends = flat, np.cumsum(counts)

  def __getitem__(self, index: int) -> Any:
    return self.flat[self.ends[index - 1] if index else 0 : self.ends[index]]


class Sentences(ByLength):
  """A split of rows of tokens, each as long as it is; batches are padded to one of a few lengths.

  Attributes:
    buckets: The lengths that a batch can have, ascending.
    lengths: Of every example: of its longest row.

  Args:
    columns: key -> the rows of all examples; none longer than the last bucket.
    buckets: See above.
    text: key -> the lines of all examples, which `text(index)` gives back.
  """

  def __init__(
    self,
    columns: Mapping[str, Sequence[Int[np.ndarray, ' _']]],
    buckets: Sequence[int],
    text: Mapping[str, Sequence[str]] | None = None,
  ):
    self.buckets = tuple(buckets)
    counts = {key: np.array([len(row) for row in rows]) for key, rows in columns.items()}
    self.lengths = np.max(list(counts.values()), axis=0)
    self._columns = {key: Rows(np.concatenate(rows), counts[key]) for key, rows in columns.items()}
    if text is not None:
      encoded = {key: [line.encode() for line in lines] for key, lines in text.items()}
      self._lines = {key: Rows(b''.join(x), list(map(len, x))) for key, x in encoded.items()}
      self.text = self._text

  def __len__(self) -> int:
    return len(self.lengths)

  def __getitem__(self, index: int) -> Example:
    number = range(len(self))[index]
    return {key: rows[number] for key, rows in self._columns.items()}

  def digest(self) -> str:
    flat = {key: rows.flat for key, rows in self._columns.items()}
    ends = {f'{key}_ends': rows.ends for key, rows in self._columns.items()}
    return digest_of_arrays({**flat, **ends})

  def _text(self, index: int) -> dict[str, str]:
    number = range(len(self))[index]
    return {key: rows[number].decode() for key, rows in self._lines.items()}


def parallel(
  splits: Mapping[str, Lines], tokenizer: str, vocab_size: int, buckets: Sequence[int]
) -> Dataset:
  """Splits of `tokens` and `targets`, and the vocabulary of both languages among the facts.

  Of the split 'train', pairs with an empty side or too many tokens are left out, and counted in a
  warning. Of others nothing is left out: an empty line is an error, and a longer sentence gets a
  bucket of its own.

  Args:
    splits: By name; the vocabulary is learned from 'train'.
    tokenizer: A kind of `vitlab.data.tokenizers`, or the path of a vocabulary.
    vocab_size: Of a vocabulary that is learned.
    buckets: Lengths that sentences are padded to, EOS included; the last is the longest of 'train'.

  Raises:
    UserError: lines that do not pair, an empty one, no pair that can be learned from, or as
      `tokenizers.train` and `load`.
  """
  buckets = check_buckets(buckets)
  kept = {name: without_empty(lines, name == TRAIN) for name, lines in splits.items()}
  if tokenizer in tokenizers.KINDS:
    if TRAIN not in splits:
      raise UserError(
        f'a vocabulary is learned from the split {TRAIN!r}; there are only {", ".join(splits)}\n'
        'set data.tokenizer to the folder of the run whose vocabulary is to be used'
      )
    lines = kept[TRAIN]
    vocabulary = tokenizers.train([*lines.source, *lines.target], tokenizer, vocab_size)
  else:
    vocabulary = tokenizers.load(tokenizer)
  return Dataset(
    splits={
      name: _sentences(lines, vocabulary, buckets, name == TRAIN) for name, lines in kept.items()
    },
    facts=dict(vocab_size=len(vocabulary), vocabulary=vocabulary.pieces, tokenizer=vocabulary.text),
  )


def check_buckets(buckets: Sequence[int]) -> tuple[int, ...]:
  """The buckets, if they are lengths in ascending order; else UserError."""
  if not buckets or list(buckets) != sorted(set(buckets)) or min(buckets) < 2:
    raise UserError(
      f'lengths={list(buckets)}: give the lengths that sentences are padded to, ascending, '
      'for example (16, 24, 32, 64)'
    )
  return tuple(buckets)


def without_empty(lines: Lines, training: bool) -> Lines:
  """The pairs of which no side is empty; of what is not trained on, an error if there are others.

  Raises:
    UserError: lines that do not pair, an empty one where all count, no others.
  """
  source, target, name = lines
  if len(source) != len(target):
    raise UserError(
      f'{name}: {len(source):,} lines and {len(target):,} lines do not pair\n'
      'line i of one file must be the translation of line i of the other'
    )
  empty = [i for i, pair in enumerate(zip(source, target)) if not all(map(str.strip, pair))]
  if len(empty) == len(source):
    raise UserError(f'{name}: no pair of sentences\ngive the text, or leave the split out')
  if not empty:
    return lines
  if not training:
    raise UserError(
      f'{name}: line {empty[0] + 1} is empty\na test set is scored as a whole: give the sentence, '
      'or take the pair out of both files'
    )
  _log.warning(
    '%s: %s pairs with an empty side are left out, the first is line %s',
    *(name, f'{len(empty):,}', f'{empty[0] + 1:,}'),
  )
  left = set(empty)
  kept = [i for i in range(len(source)) if i not in left]
  return Lines([source[i] for i in kept], [target[i] for i in kept], name)


def _sentences(
  lines: Lines, vocabulary: Tokenizer | Marian, buckets: tuple[int, ...], training: bool
) -> Sentences:
  text = dict(tokens=lines.source, targets=lines.target)
  columns = {key: vocabulary.encode(side, key == 'targets') for key, side in text.items()}
  lengths = np.array([max(map(len, pair)) for pair in zip(*columns.values())])
  if lengths.size and lengths.max() > buckets[-1]:
    if not training:
      return Sentences(columns, (*buckets, -(-int(lengths.max()) // 8) * 8), text)
    long = np.flatnonzero(lengths > buckets[-1])
    if len(long) == len(lengths):
      raise UserError(
        f'{lines.name}: every pair has more than {buckets[-1]} tokens\nraise data.lengths'
      )
    _log.warning(
      '%s: %s of %s pairs have more than %d tokens and are left out; one has %d: %.60s …',
      *(lines.name, f'{len(long):,}', f'{len(lengths):,}', buckets[-1]),
      *(int(lengths[long[0]]), lines.source[long[0]]),
    )
    kept = np.flatnonzero(lengths <= buckets[-1])
    columns, text = (
      {key: [rows[i] for i in kept] for key, rows in sides.items()} for sides in (columns, text)
    )
  return Sentences(columns, buckets, text)
