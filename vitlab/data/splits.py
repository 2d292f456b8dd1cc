"""Splits by slicing: 'train', 'train[:90%]', 'train[10:20]', 'train[-5%:]', 'train[:50%]+test'.

'test|val' is 'test' where there is one, else 'val'.
"""

import re

import numpy as np

from vitlab.data import BESIDE, Dataset, Source
from vitlab.data.annotated import ArraysSelection, ShapedSelection
from vitlab.data.sources import Arrays, RaggedSelection, Selection
from vitlab.errors import UserError, unknown

_CALLED = dict(  # a split -> what it is called, too
  train=('train', 'training'),
  val=('val', 'valid', 'validation', 'dev'),
  test=('test', 'testing'),
)
_SLICE = re.compile(r'(?P<split>[^\[\]+|:]+)(?:\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?')


def select(dataset: Dataset, expression: str) -> Source:
  """The examples that an expression names, in order.

  Bounds are as in Python, in examples or percent; percents are rounded to the nearest example, so
  'train[:90%]' and 'train[90%:]' always meet.

  Raises:
    UserError: not an expression, no such split, or nothing selected.
  """
  expression = _first(dataset, expression)
  pieces = [_piece(dataset, term.strip(), expression) for term in expression.split('+')]
  if len(pieces) == 1 and len(pieces[0][0]) == pieces[0][2] - pieces[0][1]:
    return pieces[0][0]
  if all(hasattr(source, 'buckets') for source, _, _ in pieces):
    return RaggedSelection(pieces)
  if all(hasattr(source, 'shapes') for source, _, _ in pieces):
    return ShapedSelection(pieces)
  if any(hasattr(source, 'order') for source, _, _ in pieces):
    raise UserError(
      f'split {expression!r}: its examples follow an order of their own, which a part has not'
      f'\ntake a whole split: {", ".join(dataset.splits)}'
    )
  if all(hasattr(source, 'arrays') for source, _, _ in pieces):
    if any(hasattr(source, name) for source, _, _ in pieces for name in BESIDE):
      return ArraysSelection(pieces)
    views = [{k: a[start:stop] for k, a in s.arrays.items()} for s, start, stop in pieces]
    if len(views) == 1:
      return Arrays(views[0])
    return Arrays({key: np.concatenate([view[key] for view in views]) for key in views[0]})
  return Selection(pieces)


def named(expression: str) -> list[str]:
  """The splits that an expression is made of, whether there are such or not."""
  return [term.partition('[')[0].strip() for term in re.split(r'[+|]', expression)]


def canonical(name: str) -> str | None:
  """'train', 'val' or 'test' of a usual name: 'Training', 'dev', 'test_set'; None of others."""
  word = re.sub(r'[\W_]*(set|data|images)$', '', name.lower())
  return next((split for split, words in _CALLED.items() if word in words), None)


def _first(dataset: Dataset, expression: str) -> str:
  """Of alternatives the first whose splits are all there; where there is none, the first."""
  alternatives = expression.split('|')
  there = [one for one in alternatives if all(_known(dataset, name) for name in named(one))]
  return (there or alternatives)[0]


def _known(dataset: Dataset, split: str) -> str | None:
  """The split of this name, or the only one whose name means the same: 'val' for 'valid'."""
  if split in dataset.splits:
    return split
  same = [name for name in dataset.splits if canonical(name) == canonical(split) is not None]
  return same[0] if len(same) == 1 else None


def _piece(dataset: Dataset, term: str, expression: str) -> tuple[Source, int, int]:
  match = _SLICE.fullmatch(term)
  if not match:
    raise UserError(
      f'split {expression!r} cannot be read: expected for example train, train[:90%], '
      f'train[10:20], train[:50%]+test or test|val\nsplits are {", ".join(dataset.splits)}'
    )
  split = _known(dataset, match['split'])
  if split is None:
    raise unknown('split', match['split'], dataset.splits)
  source = dataset.splits[split]
  length = len(source)
  start = _bound(match['start'], length, default=0)
  stop = _bound(match['stop'], length, default=length)
  if stop <= start:
    raise UserError(f'split {term!r} is empty: {split!r} has {length} examples')
  return source, start, stop


def _bound(text: str | None, length: int, default: int) -> int:
  if text is None:
    return default
  value = round(int(text[:-1]) * length / 100) if text[-1] == '%' else int(text)
  return min(max(value + length if text[0] == '-' else value, 0), length)
