"""Texts whose words have tags: read from columns or lines of JSON, cut into tokens."""

import json
import logging
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from vitlab.data import Dataset, Example
from vitlab.data.identity import digest
from vitlab.data.sentences import Rows
from vitlab.data.sources import ByLength
from vitlab.data.texts.labelled import CLASS, buckets_up_to
from vitlab.data.vocabularies import Vocabulary
from vitlab.errors import UserError, listed, unknown

_log = logging.getLogger(__name__)
NONE = -1  # the class of a token with which no word begins
_BETWEEN = '-DOCSTART-'  # CoNLL-2003, between documents
_WORDS, _TAGS = ('tokens', 'words'), ('tags', 'ner_tags', 'labels')
_TOGETHER = 10_000  # texts that are encoded at a time


class Tagged(NamedTuple):
  """Texts with tags.

  Attributes:
    name: Where they are from, for messages.
    words: Those of every text.
    tags: Theirs.
    places: Of every text, for messages.
  """

  name: str
  words: list[list[str]]
  tags: list[list[str]]
  places: list[str]


class Tokens(ByLength):
  """A split of rows of `tokens`, `segments` (see there) and `classes`.

  Attributes:
    lengths: Of all examples, in tokens.
    buckets: The lengths that a batch can have, ascending.

  Args:
    arrays: As `write` keeps them.
    buckets: See above.
  """

  def __init__(self, arrays: Mapping[str, np.ndarray], buckets: Sequence[int]):
    self.buckets, self.lengths = tuple(buckets), arrays['lengths']
    self._class_last = bool(arrays['class_last'])
    self._rows = {key: Rows(arrays[key], self.lengths) for key in ('tokens', 'classes')}

  def __len__(self) -> int:
    return len(self.lengths)

  def __getitem__(self, index: int) -> Example:
    number = range(len(self))[index]
    found = {key: rows[number].astype(np.int32) for key, rows in self._rows.items()}
    return found | dict(segments=segments(found['tokens'], self._class_last))

  def digest(self) -> str:
    return digest(*(rows.flat for rows in self._rows.values()), self.lengths)


def columns(name: str, content: str, word: str = '', tag: str = '') -> Tagged:
  """Texts of which every word is a line, and blank lines between them.

  Args:
    name: Of the file.
    content: Of the file. Columns are parted by tabs where a line has one, else by spaces.
    word: The position of the column of words, from 0; '': the first.
    tag: That of the tags; '': the last.

  Raises:
    UserError: a line has no such columns.
  """
  try:
    places = [int(word or 0), int(tag or -1)]
  except ValueError:
    raise UserError(
      f'{name}: its columns have positions and no names: data.word={word!r}, data.tag={tag!r}'
      '\ngive numbers from 0, for example data.word=0, data.tag=3'
    ) from None
  found, text = Tagged(name, [], [], []), []
  for number, line in enumerate([*content.splitlines(), ''], 1):
    if line.strip() and not line.startswith(_BETWEEN):
      parts = line.split('\t') if '\t' in line else line.split()
      if len(parts) < 2 or max(places) >= len(parts):
        raise UserError(
          f'{name}: line {number} has {len(parts)} columns: expected a word and its tag, and a '
          'blank line behind each text\nset data.word and data.tag to their positions'
        )
      text.append([parts[place].strip() for place in places])
    elif text:
      _add(found, *map(list, zip(*text)), f'the text before line {number}')
      text = []
  return found


def lines(name: str, content: str, word: str = '', tag: str = '') -> Tagged:
  """Texts of which each is a line of JSON with a list of words and one of tags.

  Args:
    name: Of the file.
    content: Of the file.
    word: The key of the words; '': a usual one.
    tag: That of the tags; '': a usual one. They may be numbers.

  Raises:
    UserError: a line is none, has no such keys, or not as many tags as words.
  """
  found = Tagged(name, [], [], [])
  for number, line in enumerate(content.splitlines(), 1):
    if not line.strip():
      continue
    place = f'line {number}'
    try:
      row = json.loads(line)
      words, tags = (_of(row, key, usual) for key, usual in ((word, _WORDS), (tag, _TAGS)))
    except (ValueError, TypeError, AttributeError) as error:
      raise UserError(f'{name}: {place} is no JSON object of words and tags: {error}') from None
    if len(words) != len(tags):
      raise UserError(f'{name}: {place} has {len(words)} words and {len(tags)} tags: correct it')
    _add(found, words, tags, place)
  return found


def _of(row: Mapping[str, Any], key: str, usual: Sequence[str]) -> list[str]:
  key = key or next((name for name in usual if name in row), usual[0])
  if key not in row:
    raise unknown('key (data.word, data.tag)', key, row)
  return [str(value) for value in row[key]]


def _add(found: Tagged, words: list[str], tags: list[str], place: str) -> None:
  if words:
    for column, value in zip(found[1:], (words, tags, place)):
      column.append(value)


def pieces(vocabulary: Vocabulary, texts: Sequence[Sequence[str]]) -> Iterator[list[list[int]]]:
  """The tokens of each word of every text.

  Those of all words but the first with the space before them; of a word that has none the unknown
  token, so that every word has a token to stand for it.

  Raises:
    UserError: a word without tokens, and no unknown one.
  """
  unknown_token = vocabulary.special.unk
  for start in range(0, len(texts), _TOGETHER):
    part = texts[start : start + _TOGETHER]
    flat = iter(vocabulary.encode([' ' * (i > 0) + w for text in part for i, w in enumerate(text)]))
    for text in part:
      rows = [next(flat).tolist() for _ in text]
      if unknown_token is None and not all(rows):
        word = text[next(i for i, row in enumerate(rows) if not row)]
        raise UserError(f'the vocabulary has no token for the word {word!r}: take it out')
      yield [row or [unknown_token] for row in rows]


def fitting(words: Sequence[Sequence[int]], room: int) -> int:
  """How many words fit into so many tokens: the first at least, which is then cut."""
  ends = np.cumsum([len(row) for row in words])
  return max(int(np.searchsorted(ends, room, side='right')), 1)


def row(
  vocabulary: Vocabulary, words: Sequence[Sequence[int]], classes: Sequence[int], max_length: int
) -> tuple[Int[np.ndarray, ' t'], Int[np.ndarray, ' t']]:
  """Tokens as BERT reads them, and the class of a word at its first.

  Args:
    vocabulary: Which says what stands around a text.
    words: The tokens of each; of too many the last are left out.
    classes: Theirs.
    max_length: Tokens of a row at most.
  """
  begin, end = ([] if token is None else [token] for token in vocabulary.special.around)
  begin, end = ([], end + begin) if vocabulary.class_last else (begin, end)
  room = max_length - len(begin) - len(end)
  tokens = [token for word in words[: fitting(words, room)] for token in word][:room]
  firsts = np.full(len(begin) + len(tokens) + len(end), NONE, np.int32)
  starts = len(begin) + np.cumsum([0, *map(len, words)])[: fitting(words, room)]
  firsts[starts] = classes[: len(starts)]
  return np.array([*begin, *tokens, *end], np.int32), firsts


def segments(tokens: Int[np.ndarray, ' t'], class_last: bool) -> Int[np.ndarray, ' t']:
  """All 1, but for a classifier's token that ends the row."""
  found = np.ones_like(tokens)
  if class_last:
    found[-1] = CLASS
  return found


def write(
  split: Tagged,
  vocabulary: Vocabulary,
  max_length: int,
  numbers: Mapping[str, int],
  path: pathlib.Path,
) -> None:
  """Encodes a split into a file of arrays, all rows of one kind one after the other.

  Raises:
    UserError: a tag that has no number.
  """
  found, cut = [], 0
  for words, tags, place in zip(pieces(vocabulary, split.words), split.tags, split.places):
    for tag in tags:
      if tag not in numbers:
        raise unknown(f'tag in {split.name}, {place}', tag, numbers)
    tokens, classes = row(vocabulary, words, [numbers[tag] for tag in tags], max_length)
    found.append((tokens, classes))
    cut += int((classes != NONE).sum()) < len(words)
  if cut:
    _log.warning(
      '%s: %d of %d texts are longer than %d tokens (data.max_length) and lose their last words',
      *(split.name, cut, len(found), max_length),
    )
  tokens, classes = zip(*found)
  lengths = np.array([len(each) for each in tokens])
  arrays = dict(tokens=np.concatenate(tokens), classes=np.concatenate(classes), lengths=lengths)
  np.savez(path, **arrays, class_last=np.array(vocabulary.class_last))


def opened(place: pathlib.Path, about: Mapping[str, Any]) -> Dataset:
  """The data set that was written to a folder; fails if a file is damaged."""
  buckets, splits = buckets_up_to(about['facts']['max_length']), {}
  for name in about['splits']:
    with np.load(place / f'{name}.npz') as arrays:
      splits[name] = Tokens(dict(arrays), buckets)
  return Dataset(splits, about['facts'])


def tags_of(train: Tagged, class_names: Sequence[str]) -> tuple[list[str], list[str]]:
  """The tags as they are written, in the order of their numbers, and their names.

  Raises:
    UserError: names that are not those of the tags, or one tag only.
  """
  there = sorted({tag for tags in train.tags for tag in tags})
  numbered = all(map(str.isdecimal, there))
  count = len(class_names) or (int(max(there, key=int)) + 1 if numbered else 0)
  if numbered and int(max(there, key=int)) < count:
    written = list(map(str, range(count)))
  else:
    written = list(class_names) or there
  if not set(there) <= set(written):
    raise UserError(
      f'{train.name}: the tags {listed(there)} are not those of data.class_names='
      f'{tuple(class_names)}\ngive a name for each of the tags 0, 1, ..., or the tags'
    )
  if len(written) < 2:
    raise UserError(f'{train.name}: all words have the tag {written[0]!r}: give two')
  return written, list(class_names) or written
