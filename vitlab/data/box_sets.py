"""From what the files of a format say of boxes to a data set: checked, counted and named at once.

What is only odd is kept, cut at the edge of its picture, or not learned from, as the reference
implementations do (pycocotools, DETR, detectron2), and one line of the log counts it. What can only
be a mistake, such as a box of negative size, is an error that names it.
"""

import functools
import logging
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vitlab.data import Dataset, fitted
from vitlab.data.annotated import AnnotatedPictures
from vitlab.data.annotations import Annotation, clipped, rows_for, trainable
from vitlab.data.opened import ImageError, measure
from vitlab.data.order import permutation
from vitlab.data.pictures import image_facts
from vitlab.errors import UserError, listed

_log = logging.getLogger(__name__)
_CUT = 0.5  # pixels beyond the edge that are counted; files round their numbers
_COLUMNS, _SHOWN = 100, 30  # of the table of classes


class Part(NamedTuple):
  """A split as its files have it: the numbers of its pictures and what is said of each."""

  read: Callable[[int], bytes]
  files: Sequence[int]
  annotations: Sequence[Annotation]


class Found(NamedTuple):
  """What the files of a format say.

  Attributes:
    names: Of the classes, in the order of their numbers in the model.
    ids: Theirs in the files.
    parts: Split -> its pictures.
    odd: What was left out or changed in reading, in words that a number follows.
  """

  names: Sequence[str]
  ids: Sequence[int]
  parts: Mapping[str, Part]
  odd: Counter[str]


def dataset(
  path: str,
  found: Found,
  *,
  image_size: int | Sequence[int],
  channels: int,
  test_fraction: float,
  split_seed: int,
  in_memory: bool,
) -> Dataset:
  """The splits, their truth, and the facts of detection.

  Args:
    path: Where it is from, for messages.
    found: What is there.
    image_size: (short, long), the sides of the shape that wide and tall pictures are padded to; or
      one number, the side of a square one for all.
    channels: 3 (RGB; grey is repeated) or 1 (grey).
    test_fraction: Held out as 'test' where there is no split but 'train'.
    split_seed: Which ones are held out.
    in_memory: Decode a picture once and keep it.

  Raises:
    UserError: a box with a number that is NaN or infinite, or of negative size; a split without
      pictures or without a box to learn from; bad arguments.
  """
  image = dict(image_size=image_size, channels=channels, interpolation='bilinear')
  facts = image_facts(**image, resize='fit', crop_fraction=1.0, fill=(0,))
  image |= dict(image_size=facts['image_size'])
  if not 0 < test_fraction < 1:
    raise UserError(f'test_fraction={test_fraction}: expected a number between 0 and 1')
  for split, part in found.parts.items():
    _check(path, split, part.annotations)
  parts = dict(found.parts)
  if list(parts) == ['train']:
    parts = _divided(path, parts['train'], test_fraction, split_seed)
  most = max(int(trainable(truth).sum()) for part in parts.values() for truth in part.annotations)
  max_objects = rows_for(most)
  _say(_summary(path, parts, found))
  _say(_table(found))
  return Dataset(
    splits={
      split: AnnotatedPictures(*part, image, max_objects, in_memory)
      for split, part in parts.items()
    },
    facts=dict(
      num_classes=len(found.names),
      class_names=list(found.names),
      class_ids=list(found.ids),
      max_objects=max_objects,
      image=facts,
      shapes=[list(shape) for shape in fitted.shapes(facts['image_size'])],
    ),
  )


def size_of(
  where: str, said: tuple[object, object], name: str, read: Callable[[], bytes]
) -> tuple[int, int]:
  """Height and width of a picture as its annotation says them, else as the picture has them.

  Args:
    where: Of the annotation, for messages.
    said: Height and width there: numbers or text; None, '' or 0 where it does not say them.
    name: The picture's file.
    read: Its bytes.

  Raises:
    UserError: what is said is no size, or it is not said and the picture cannot be read.
  """
  try:
    height, width = (float(side or 0) for side in said)
    if min(height, width) < 0:
      raise ValueError
    size = int(height), int(width)
  except (ValueError, TypeError, OverflowError):
    raise UserError(
      f'{where}: {name} is {said[0]!r} high and {said[1]!r} wide: expected its size in pixels'
    ) from None
  if all(size):
    return size
  try:
    return measure(read())
  except ImageError as error:
    raise UserError(f'{where}: {name}: {error}\nrepair it, or remove it from there') from None


@functools.cache  # the report of a run reads its data once more
def _say(message: str) -> None:
  _log.warning('%s', message)


def _check(
  path: str,
  split: str,
  annotations: Sequence[Annotation],
  advice: str = 'give it some, or leave the split out',
) -> None:
  for truth in annotations:
    finite = np.isfinite(truth.boxes).all(axis=1)
    negative = (truth.boxes[:, 2:] < truth.boxes[:, :2]).any(axis=1)
    for row in np.flatnonzero(~finite | negative):
      what = 'is of negative size' if finite[row] else 'holds a number that is NaN or infinite'
      box = ', '.join(f'{x:g}' for x in truth.boxes[row])
      raise UserError(
        f'{path}: {split}: {truth.name}: box {row + 1} (x1, y1, x2, y2 = {box}) {what}\n'
        'correct its annotation, or remove it'
      )
  if not annotations:
    raise UserError(f'{path}: split {split!r} has no pictures\n{advice}')
  if not any(trainable(truth).any() for truth in annotations):
    raise UserError(
      f'{path}: split {split!r} has {len(annotations)} pictures and not one box in them\n'
      f'a detector is trained and measured by boxes: {advice}'
    )


def _divided(path: str, part: Part, fraction: float, seed: int) -> dict[str, Part]:
  """Train and test: the order is that of the files."""
  count = len(part.files)
  if count < 2:
    raise UserError(f'{path}: one picture, and none to test on: add pictures')
  held = max(1, round(fraction * count))
  order = permutation(count, seed)
  chosen = dict(train=np.sort(order[held:]), test=np.sort(order[:held]))
  parts = {
    split: Part(part.read, [part.files[i] for i in numbers], [part.annotations[i] for i in numbers])
    for split, numbers in chosen.items()
  }
  advice = 'hold out others: choose another split_seed or test_fraction'
  for split, (_, _, annotations) in parts.items():
    _check(f'{path}, {fraction:g} of it held out by split_seed={seed}', split, annotations, advice)
  return parts


def _summary(path: str, parts: Mapping[str, Part], found: Found) -> str:
  """One line: what there is, and how many of what are odd."""
  everything = {  # a picture once, if it is in several splits
    (id(part.read), file): truth
    for part in parts.values()
    for file, truth in zip(part.files, part.annotations)
  }.values()
  sizes = ', '.join(f'{split} {len(part.files):,}' for split, part in parts.items())
  counts = [len(truth.classes) for truth in everything]
  odd = sum((_odd(truth) for truth in everything), Counter()) + found.odd
  trained = [t.classes[trainable(t)] for t in _training(parts)]
  words = [f'{what}: {count:,}' for what, count in odd.items()]
  absent = sorted(set(range(len(found.names))) - set(np.concatenate(trained).tolist()))
  if absent:
    words.append(f'not in train: {listed([found.names[i] for i in absent])}')
  boxes = f'{sum(counts):,} boxes, {max(counts):,} at most in one'  # DETR needs more queries
  return f'{path}: {sizes} pictures, {boxes}' + ''.join(f'; {text}' for text in words)


def _training(parts: Mapping[str, Part]) -> Sequence[Annotation]:
  return parts.get('train', next(iter(parts.values()))).annotations


def _odd(truth: Annotation) -> Counter[str]:
  """How many of what in one picture."""
  cut, learned = clipped(truth), trainable(truth)
  counted = ~truth.crowd
  empty = (truth.boxes[:, 2:] <= truth.boxes[:, :2]).any(axis=1)
  beyond = np.abs(cut - truth.boxes).max(axis=1, initial=0) >= _CUT
  kinds = {
    'pictures without objects': not learned.any(),
    'crowd regions, not learned from': truth.crowd.sum(),
    'difficult, learned from but not asked for': (truth.difficult & learned).sum(),
    'boxes without area, not learned from': (empty & counted).sum(),
    'boxes outside of their picture, not learned from': (counted & ~learned & ~empty).sum(),
    'boxes cut at the edge of their picture': (beyond & learned).sum(),
  }
  return Counter({what: int(count) for what, count in kinds.items() if count})


def _table(found: Found) -> str:
  """The classes, a few lines if they are many."""
  rows = [f'{i} → {name} → {n}' for n, (i, name) in enumerate(zip(found.ids, found.names))]
  if len(rows) > _SHOWN:
    rows[_SHOWN:] = [f'and {len(rows) - _SHOWN} more, in facts.json']
  whole = [row.replace(' ', '\xa0') for row in rows]  # so that lines are broken between them
  text = 'classes (id in the file → name → number in the model): ' + ', '.join(whole)
  return textwrap.fill(text, _COLUMNS, break_long_words=False).replace('\xa0', ' ')
