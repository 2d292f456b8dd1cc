"""Tables of texts and their labels: TSV, CSV and JSON lines, with or without a header."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from vitlab.errors import UserError

KIND = re.compile(r'(?P<split>[^/]+?)\.(?P<kind>tsv|csv|jsonl|json)(\.gz)?$')
# How columns are called in GLUE, SuperGLUE, SNLI and by others; one row of names is a choice.
TEXTS = (
  *(('sentence1', 'sentence2'), ('premise', 'hypothesis'), ('question1', 'question2')),
  *(('#1 String', '#2 String'), ('question', 'sentence')),
  *(('sentence',), ('text',), ('content',), ('review',), ('comment',)),
)
LABELS = ('label', 'gold_label', 'is_duplicate', 'Quality', 'class', 'target', 'sentiment')


class Columns(NamedTuple):
  """Which columns count: by name, or by position from 0; '': as they are usually called.

  Attributes:
    text: Of the text, or the first of a pair.
    pair: Of the second of a pair.
    label: Of the label.
    quotes: Whether a value may stand in double quotes; None: in CSV, not in TSV (as GLUE has it).
  """

  text: str = ''
  pair: str = ''
  label: str = ''
  quotes: bool | None = None


class Labelled(NamedTuple):
  """Texts, or pairs of them, and their labels.

  Attributes:
    name: Where they are from, for messages.
    texts: The texts, or the first of the pairs.
    pairs: The second ones; None: there are none.
    labels: As they are written.
    places: Where each is from, for messages: 'line 7'.
  """

  name: str
  texts: Sequence[str]
  pairs: Sequence[str] | None
  labels: Sequence[str]
  places: Sequence[str]


def read(name: str, kind: str, content: str, columns: Columns) -> Labelled | None:
  """The rows of a table; None: it has no labels, as the test sets of competitions.

  Args:
    name: Of its file, for messages.
    kind: 'tsv', 'csv', 'json' or 'jsonl', one object a line.
    content: The text of it.
    columns: What is wanted.

  Raises:
    UserError: no rows, a column that is not there, a row that is too short.
  """
  rows = (
    _objects(name, content) if kind.startswith('json') else _cells(name, kind, content, columns)
  )
  try:
    _, first = next(rows)
  except StopIteration:
    raise UserError(f'{name} is empty: give it lines of text and label') from None
  named = isinstance(first, dict)
  header = list(first) if named else first
  wanted, has_header = _choose(name, header, columns, named)
  if wanted is None:
    return None
  places, values = [], []
  for line, row in rows if has_header and not named else _again((1, first), rows):
    try:
      values.append([str(row[key]) for key in wanted])
    except (KeyError, IndexError):
      raise UserError(
        f'{name}: line {line} has no column {_said(row, wanted)!r}; it has {len(row)} columns'
      ) from None
    places.append(f'line {line}')
  if not values:
    raise UserError(f'{name} has a header and no lines: give it lines of text and label')
  *texts, labels = map(list, zip(*values))
  return Labelled(name, texts[0], texts[1] if len(texts) > 1 else None, labels, places)


def choose(
  names: Sequence[str], columns: Columns, where: str
) -> tuple[list[str], str] | tuple[list[str], None]:
  """The names of the columns of the text, or both of a pair, and of the label; None: there is none.

  Raises:
    UserError: a name that is not there, or none that is known.
  """
  for role in ('text', 'pair', 'label'):
    if (name := getattr(columns, role)) and name not in names:
      raise _missing(where, f'data.{role}={name!r}', names)
  usual = next((list(t) for t in TEXTS if set(t) <= set(names)), [])
  texts = [columns.text, columns.pair][: 1 + bool(columns.pair)] if columns.text else usual
  if not texts:
    raise _missing(where, 'that is known to hold the text', names)
  return texts, columns.label or next((name for name in LABELS if name in names), None)


def _choose(
  name: str, header: Sequence[str], columns: Columns, named: bool
) -> tuple[list[Any] | None, bool]:
  """What to take of every row, and whether the first row says the names."""
  given = [column for column in columns[:3] if column]
  if given and not named and all(column.isdigit() for column in given):
    if not (columns.text and columns.label):
      raise UserError(f'{name}: give data.text and data.label, both by position or both by name')
    places = [int(column) for column in given]
    known = {word for words in TEXTS for word in words} | set(LABELS)
    return places, all(header[i] in known for i in places if i < len(header))
  texts, label = choose(header, columns, name)
  if label is None:
    return None, True
  wanted = [*texts, label]
  return (wanted if named else [list(header).index(column) for column in wanted]), True


def _missing(where: str, what: str, names: Sequence[str]) -> UserError:
  found = ', '.join(f'{name:.40}' for name in names[:12])
  return UserError(
    f'{where}: there is no column {what}; the columns are {found}\n'
    'set data.text, data.label and, of pairs, data.pair, to names or, without a header, to '
    'positions from 0'
  )


def _said(row: Any, wanted: Sequence[Any]) -> Any:
  return next(k for k in wanted if k not in (row if isinstance(row, Mapping) else range(len(row))))


def _again(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
  yield first
  yield from rest


def _cells(
  name: str, kind: str, content: str, columns: Columns
) -> Iterator[tuple[int, Sequence[str]]]:
  """The line and the cells of every row that is not blank."""
  csv.field_size_limit(2**31 - 1)
  quotes = kind == 'csv' if columns.quotes is None else columns.quotes
  options = dict(delimiter=',' if kind == 'csv' else '\t')
  options |= dict(quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE)
  if quotes:
    reader = csv.reader(io.StringIO(content, newline=''), strict=True, **options)
  else:  # lines end where lines end, whatever else Python takes for an end
    reader = csv.reader((line.removesuffix('\r') for line in content.split('\n')), **options)
  try:
    for row in reader:
      if any(cell.strip() for cell in row):
        yield reader.line_num, row
  except csv.Error as error:
    raise UserError(
      f'{name}: line {reader.line_num} cannot be read: {error}\n'
      'set data.quotes=false if double quotes are part of the text'
    ) from None


def _objects(name: str, content: str) -> Iterator[tuple[int, dict[str, Any]]]:
  for line, text in enumerate(content.split('\n'), 1):
    if not text.strip():
      continue
    try:
      row = json.loads(text)
    except ValueError as error:
      raise UserError(f'{name}: line {line} is no JSON: {error}') from None
    if not isinstance(row, dict):
      raise UserError(f'{name}: line {line} is no JSON object with names and values')
    yield line, row
