"""Texts with labels as examples: the tokens of a sentence or of a pair, and a class."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Int

from vitlab.data import Dataset, Example
from vitlab.data.identity import digest
from vitlab.data.order import stratified
from vitlab.data.sentences import Sentences
from vitlab.data.texts.tables import Labelled
from vitlab.data.vocabularies import Vocabulary, kinds
from vitlab.errors import UserError, listed

_log = logging.getLogger(__name__)
TRAIN, TEST = 'train', 'test'
_TOGETHER = 10_000  # texts that are encoded at a time


class Classified(Sentences):
  """A split of rows of `tokens` and `segments` (1: the first text, 2: the second), and `label`.

  Args:
    rows: Of every example, its tokens and its segments.
    buckets: The lengths that a batch can have, ascending.
    labels: Of every example.
    text: key -> the texts of all examples.
  """

  def __init__(
    self,
    rows: Sequence[tuple[Int[np.ndarray, ' _'], Int[np.ndarray, ' _']]],
    buckets: Sequence[int],
    labels: Int[np.ndarray, ' examples'],
    text: Mapping[str, Sequence[str]],
  ):
    tokens, segments = zip(*rows)
    super().__init__(dict(tokens=tokens, segments=segments), buckets, text)
    self._labels = labels.astype(np.int32)

  def __getitem__(self, index: int) -> Example:
    return {**super().__getitem__(index), 'label': self._labels[index]}

  def digest(self) -> str:
    return digest(super().digest(), self._labels)


def dataset(
  splits: Mapping[str, Labelled],
  tokenizer: str,
  vocab_size: int,
  max_length: int,
  class_names: Sequence[str],
  test_fraction: float,
) -> Dataset:
  """Splits of `tokens`, `segments` and `label`; facts: see `vitlab.data.sets.labelled_text`.

  Args:
    splits: By name, among them 'train'; if that is all, a part of it is held out as 'test'.
    tokenizer: A kind of `vitlab.data.vocabularies.kinds`, or the path of a vocabulary.
    vocab_size: Of a vocabulary that is learned from 'train'.
    max_length: Tokens of an example at most, special ones included.
    class_names: Of the labels 0, 1, ...; or the labels themselves, in the order of their numbers.
      None given: in alphabetical order, or that of numbers.
    test_fraction: Held out of every class.

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
  for split in splits.values():
    if missing := [i for i, label in enumerate(split.labels) if label not in numbers]:
      raise UserError(
        f'{split.name}: {split.places[missing[0]]} has the label {split.labels[missing[0]]!r}, '
        f'which {TRAIN!r} has not\npossible are {listed(written)}'
      )
  if tokenizer in kinds.KINDS:
    texts = [*splits[TRAIN].texts, *(splits[TRAIN].pairs or ())]
    vocabulary = kinds.learn(tokenizer, lambda: texts, vocab_size)
  else:
    vocabulary = kinds.load(tokenizer)
  names = list(class_names) or written
  facts = dict(num_classes=len(names), class_names=names, max_length=max_length)
  facts |= dict(vocab_size=len(vocabulary), tokenizer=vocabulary.text)
  facts |= dict(special=vocabulary.special._asdict())
  made = {
    name: _classified(split, vocabulary, max_length, numbers, name == TRAIN)
    for name, split in splits.items()
  }
  return Dataset(made, facts)


def encode(
  vocabulary: Vocabulary, texts: Sequence[str], pairs: Sequence[str] | None, max_length: int
) -> Iterator[tuple[Int[np.ndarray, ' t'], Int[np.ndarray, ' t']]]:
  """Tokens and segments of texts, or of pairs, as BERT reads them: [CLS] text [SEP] pair [SEP].

  What is too long loses its end: of a pair the longer text first, and then both alike. A vocabulary
  without these tokens takes those that begin and end a text, or none.

  Args:
    vocabulary: Cuts them.
    texts: The texts, or the first of the pairs.
    pairs: The second ones; None: there are none.
    max_length: Tokens of a row at most, special ones included.
  """
  special = vocabulary.special
  begin = [t for t in (special.bos if special.cls is None else special.cls,) if t is not None]
  end = [t for t in (special.eos if special.sep is None else special.sep,) if t is not None]
  room = max_length - len(begin) - len(end) * (1 if pairs is None else 2)
  for start in range(0, len(texts), _TOGETHER):
    part = slice(start, start + _TOGETHER)
    first = vocabulary.encode(list(texts[part]))
    second = [None] * len(first) if pairs is None else vocabulary.encode(list(pairs[part]))
    for a, b in zip(first, second):
      kept, rest = truncated(len(a), 0 if b is None else len(b), room)
      row = [*begin, *a[:kept], *end]
      other = [] if b is None else [*b[:rest], *end]
      yield (
        np.array(row + other, np.int32),
        np.repeat(np.array([1, 2], np.int32), [len(row), len(other)]),
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
  parts = {TRAIN: np.sort(order[:kept]), TEST: np.sort(order[kept:])}
  return {name: part(train, rows) for name, rows in parts.items()}


def part(split: Labelled, rows: Iterable[int]) -> Labelled:
  """Some of the examples of a split."""
  rows = [int(row) for row in rows]
  take = lambda column: column and [column[row] for row in rows]  # noqa: E731
  return Labelled(split.name, *map(take, split[1:]))


def _classified(
  split: Labelled,
  vocabulary: Vocabulary,
  max_length: int,
  numbers: Mapping[str, int],
  training: bool,
) -> Classified:
  empty = [i for i, text in enumerate(split.texts) if not text.strip()]
  if empty and not training:
    raise UserError(
      f'{split.name}: the text of {split.places[empty[0]]} is empty\n'
      'what is not trained on is scored as a whole: give the text, or take the line out'
    )
  if empty:
    places = split.places[empty[0]]
    _log.warning('%s: %d empty texts are left out, the first of %s', split.name, len(empty), places)
    split = part(split, sorted(set(range(len(split.texts))) - set(empty)))
  if not split.texts:
    raise UserError(f'{split.name}: no text that is not empty')
  rows = list(encode(vocabulary, split.texts, split.pairs, max_length))
  labels = np.array([numbers[label] for label in split.labels])
  text = dict(text=split.texts) | (dict(pair=split.pairs) if split.pairs is not None else {})
  return Classified(rows, _buckets(max_length), labels, text)


def _buckets(max_length: int) -> list[int]:
  """A few lengths up to the longest there can be: 16, 32, 48, 64, 96, 128, 192, 256, ..."""
  usual = (16, 32, *(n << k for k in range(4, 20) for n in (3, 4)))
  return [length for length in usual if length < max_length] + [max_length]
