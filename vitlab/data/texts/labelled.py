"""Texts with labels as examples: the tokens of a sentence or of a pair, and a class."""

import logging
import pathlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from vitlab.data import Dataset, Example
from vitlab.data.identity import digest
from vitlab.data.order import stratified
from vitlab.data.sentences import Rows
from vitlab.data.sources import ByLength
from vitlab.data.texts.tables import Labelled
from vitlab.data.vocabularies import Vocabulary, kinds
from vitlab.errors import UserError, listed

_log = logging.getLogger(__name__)
TRAIN, TEST = 'train', 'test'
CLASS = 3  # the segment of a classifier's token that ends a row
_SIDES = ('text', 'pair')
_TOGETHER = 10_000  # texts that are encoded at a time
Row = tuple[Int[np.ndarray, ' _'], Int[np.ndarray, ' _']]  # tokens and segments, as long


class Classified(ByLength):
  """A split of rows of `tokens`, `segments` (1: the first text, 2: the second, 3: the token of a
  classifier that ends a row), and `label`.

  Attributes:
    lengths: Of all examples, in tokens.
    buckets: The lengths that a batch can have, ascending.

  Args:
    arrays: As `write` keeps them.
    buckets: See above.
  """

  def __init__(self, arrays: Mapping[str, np.ndarray], buckets: Sequence[int]):
    self.buckets, self.lengths = tuple(buckets), arrays['lengths']
    self._first, self._labels = arrays['first'], arrays['label']
    self._class_last = bool(arrays['class_last'])
    self._tokens = Rows(arrays['tokens'], self.lengths)
    sides = [side for side in _SIDES if side in arrays]
    self._text = {side: Rows(arrays[side], arrays[f'{side}_bytes']) for side in sides}

  def __len__(self) -> int:
    return len(self.lengths)

  def __getitem__(self, index: int) -> Example:
    number = range(len(self))[index]
    tokens = self._tokens[number].astype(np.int32)
    segments = 1 + (np.arange(len(tokens)) >= self._first[number]).astype(np.int32)
    if self._class_last:
      segments[-1] = CLASS
    return dict(tokens=tokens, segments=segments, label=self._labels[number])

  def text(self, index: int) -> dict[str, str]:
    number = range(len(self))[index]
    return {side: rows[number].tobytes().decode() for side, rows in self._text.items()}

  def digest(self) -> str:
    return digest(self._tokens.flat, self.lengths, self._first, self._labels)


def build(
  splits: Mapping[str, Labelled],
  tokenizer: str,
  vocab_size: int,
  max_length: int,
  class_names: Sequence[str],
  test_fraction: float,
  folder: pathlib.Path,
) -> dict[str, Any]:
  """Encodes all splits into a folder; see `opened`.

  Args:
    splits: By name, among them 'train'; if that is all, a part of it is held out as 'test'.
    tokenizer: A kind of `vitlab.data.vocabularies.kinds`, or the path of a vocabulary.
    vocab_size: Of a vocabulary that is learned from 'train'.
    max_length: Tokens of an example at most, special ones included.
    class_names: Of the labels 0, 1, ...; or the labels themselves, in the order of their numbers.
      None given: in alphabetical order, or that of numbers.
    test_fraction: Held out of every class.
    folder: Where to.

  Returns:
    The facts, see `vitlab.data.sets.labelled_text`, and the names of the splits.

  Raises:
    UserError: no 'train', a label that is none, occurs once or not in 'train', a text without any
      token where all count.
  """
  if TRAIN not in splits:
    raise UserError(
      f'there is no split {TRAIN!r}, only {", ".join(sorted(splits)) or "nothing"}: '
      'name a file or folder train'
    )
  written = _classes(splits[TRAIN], class_names)
  numbers = {label: i for i, label in enumerate(written)}
  if len(splits) == 1:
    splits = _held_out(splits[TRAIN], numbers, test_fraction)
  splits = {name: _usable(split, numbers, name == TRAIN) for name, split in splits.items()}
  if tokenizer in kinds.KINDS:
    texts = [*splits[TRAIN].texts, *(splits[TRAIN].pairs or ())]
    vocabulary = kinds.learn(tokenizer, lambda: texts, vocab_size)
  else:
    vocabulary = kinds.load(tokenizer)
  names = list(class_names) or written
  facts = facts_of(names, max_length, vocabulary)
  for name, split in splits.items():
    write(split, vocabulary, max_length, numbers, folder / f'{name}.npz')
  return dict(facts=facts, splits=sorted(splits))


def facts_of(names: Sequence[str], max_length: int, vocabulary: Vocabulary) -> dict[str, Any]:
  """Those of texts, or of words in them, with classes of these names."""
  return dict(
    num_classes=len(names),
    class_names=names,
    max_length=max_length,
    vocab_size=len(vocabulary),
    tokenizer=vocabulary.text,
    special=vocabulary.special._asdict(),
  )


def opened(place: pathlib.Path, about: Mapping[str, Any]) -> Dataset:
  """The data set that `build` has written; fails if a file is damaged."""
  buckets = buckets_up_to(about['facts']['max_length'])
  splits = {}
  for name in about['splits']:
    with np.load(place / f'{name}.npz') as arrays:
      splits[name] = Classified(dict(arrays), buckets)
  return Dataset(splits, about['facts'])


def write(
  split: Labelled,
  vocabulary: Vocabulary,
  max_length: int,
  numbers: Mapping[str, int],
  path: pathlib.Path,
) -> None:
  """Encodes a split into a file of arrays, all rows of one kind one after the other."""
  rows = list(encode(vocabulary, split.texts, split.pairs, max_length))
  dtype = np.uint16 if len(vocabulary) <= 2**16 else np.int32
  arrays = dict(
    tokens=np.concatenate([tokens for tokens, _ in rows]).astype(dtype),
    lengths=np.array([len(tokens) for tokens, _ in rows]),
    first=np.array([np.count_nonzero(segments == 1) for _, segments in rows]),
    label=np.array([numbers[label] for label in split.labels], np.int32),
    class_last=np.array(vocabulary.class_last),
  )
  for side, texts in zip(_SIDES, (split.texts, split.pairs)):
    if texts is not None:
      content = [text.encode() for text in texts]
      arrays[side] = np.frombuffer(b''.join(content), np.uint8)
      arrays[f'{side}_bytes'] = np.array([len(text) for text in content])
  np.savez(path, **arrays)


def encode(
  vocabulary: Vocabulary, texts: Sequence[str], pairs: Sequence[str] | None, max_length: int
) -> Iterator[tuple[Int[np.ndarray, ' t'], Int[np.ndarray, ' t']]]:
  """Tokens and segments of texts, or of pairs, as BERT reads them: [CLS] text [SEP] pair [SEP]; or
  as XLNet does: text <sep> pair <sep> <cls>, the last a segment of its own.

  What is too long loses its end: of a pair the longer text first, and then both alike. What stands
  around them where a vocabulary has not these tokens, `Special.around` says.

  Args:
    vocabulary: Cuts them.
    texts: The texts, or the first of the pairs.
    pairs: The second ones; None: there are none.
    max_length: Tokens of a row at most, special ones included.
  """
  begin, end = ([] if token is None else [token] for token in vocabulary.special.around)
  begin, last = ([], begin) if vocabulary.class_last else (begin, [])
  room = max_length - len(begin) - len(last) - len(end) * (1 if pairs is None else 2)
  for start in range(0, len(texts), _TOGETHER):
    part = slice(start, start + _TOGETHER)
    first = vocabulary.encode(list(texts[part]))
    second = [None] * len(first) if pairs is None else vocabulary.encode(list(pairs[part]))
    for a, b in zip(first, second):
      kept, rest = truncated(len(a), 0 if b is None else len(b), room)
      row = [*begin, *a[:kept], *end]
      other = [] if b is None else [*b[:rest], *end]
      yield (
        np.array(row + other + last, np.int32),
        np.repeat(np.array([1, 2, CLASS], np.int32), [len(row), len(other), len(last)]),
      )


def truncated(first: int, second: int, room: int) -> tuple[int, int]:
  """How many tokens of two texts are kept so that both fit, the longer cut first.

  As the Rust library `tokenizers` does it, which leaves an odd one to the longer text, and to the
  second if both were equally long. (transformers' slow classes leave it to the first.)
  """
  if first + second <= room:
    return first, second
  short, long = min(first, second), max(first, second)
  long = max(room - short, short)
  if short + long > room:
    short, long = room // 2, room - room // 2
  return (long, short) if first > second else (short, long)


def _classes(train: Labelled, class_names: Sequence[str]) -> list[str]:
  """The labels as they are written, in the order of their numbers."""
  counts = Counter(train.labels)
  number = lambda label: label.removeprefix('-').isdigit()  # noqa: E731
  labels = sorted(counts, key=int) if all(map(number, counts)) else sorted(counts)
  if len(labels) > len(train.labels) / 2 and len(labels) > 20:
    raise UserError(
      f'{train.name}: {len(labels):,} different labels of {len(train.labels):,} texts are no '
      f'classes, for example {listed(labels, 3)}\nset data.label to the column of the class'
    )
  if class_names and set(labels) <= set(class_names):
    labels = list(class_names)
  elif class_names and labels != [str(i) for i in range(len(class_names))]:
    raise UserError(
      f'{train.name}: the labels {listed(labels)} are not those of data.class_names='
      f'{tuple(class_names)}\ngive a name for each of the labels 0, 1, ..., or the labels'
    )
  for label in labels:
    if counts[label] < 2:
      place = train.places[train.labels.index(label)] if counts[label] else train.name
      raise UserError(
        f'{train.name}: the label {label!r} occurs {"once" if counts[label] else "never"} in '
        f'{TRAIN!r} ({place})\ngive it more texts, or correct it'
      )
  if len(labels) < 2:
    raise UserError(f'{train.name}: all texts have the label {labels[0]!r}: give two classes')
  return labels


def _held_out(train: Labelled, numbers: Mapping[str, int], fraction: float) -> dict[str, Labelled]:
  """Two parts with every class in proportion."""
  if not 0 < fraction < 1:
    raise UserError(f'data.test_fraction={fraction}: expected a number between 0 and 1')
  order = stratified(np.array([numbers[label] for label in train.labels]))
  kept = len(order) - max(1, round(fraction * len(order)))
  parts = {TRAIN: sorted(order[:kept].tolist()), TEST: sorted(order[kept:].tolist())}
  return {name: part(train, rows) for name, rows in parts.items()}


def part(split: Labelled, rows: Sequence[int]) -> Labelled:
  """Some of the examples of a split."""
  take = lambda column: column and [column[row] for row in rows]  # noqa: E731
  return Labelled(split.name, *map(take, split[1:]))


def _usable(split: Labelled, numbers: Mapping[str, int], training: bool) -> Labelled:
  """The examples that say something; where all count, an error if one does not."""
  if missing := [i for i, label in enumerate(split.labels) if label not in numbers]:
    raise UserError(
      f'{split.name}: {split.places[missing[0]]} has the label {split.labels[missing[0]]!r}, '
      f'which {TRAIN!r} has not\npossible are {listed(list(numbers))}'
    )
  empty = [i for i, text in enumerate(split.texts) if not text.strip()]
  if empty and not training:
    raise UserError(
      f'{split.name}: the text of {split.places[empty[0]]} is empty\n'
      'what is not trained on is scored as a whole: give the text, or take the line out'
    )
  if len(empty) == len(split.texts):
    raise UserError(f'{split.name}: no text that is not empty')
  if empty:
    where = split.places[empty[0]]
    _log.warning('%s: %d empty texts are left out, the first of %s', split.name, len(empty), where)
    split = part(split, sorted(set(range(len(split.texts))) - set(empty)))
  return split


def buckets_up_to(max_length: int) -> list[int]:
  """A few lengths up to the longest there can be: 16, 32, 48, 64, 96, 128, 192, 256, ..."""
  usual = (16, 32, *(n << k for k in range(4, 20) for n in (3, 4)))
  return [length for length in usual if length < max_length] + [max_length]


def padded(rows: Sequence[Row], size: int, buckets: Sequence[int]) -> dict[str, np.ndarray]:
  """A batch of rows, filled up with padding to one of a few shapes, each compiled once.

  Args:
    rows: At most `size`.
    size: Rows of the batch.
    buckets: Its lengths, ascending.
  """
  longest = max((len(tokens) for tokens, _ in rows), default=1)
  length = next(bucket for bucket in buckets if longest <= bucket)
  batch = {key: np.zeros((size, length), np.int32) for key in ('tokens', 'segments')}
  for number, row in enumerate(rows):
    for key, values in zip(('tokens', 'segments'), row):
      batch[key][number, : len(values)] = values
  return batch
