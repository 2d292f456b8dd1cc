"""Handwritten digits scattered over grey pictures, to be found: detection without a download.

Picture i of a split is a pure function of (seed, i). Training pictures are made of the training
digits of `digits`, test pictures of its test digits, each cut to its ink, at a random size. Two
digits may touch; of no two does one cover more than a fifth of the other. Some pictures are empty,
some crowded.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, UInt8
from numpy.random import RandomState
from PIL import Image

from vitlab import registry
from vitlab.data import Dataset
from vitlab.data.annotated import AnnotatedArrays
from vitlab.data.annotations import Annotation, rows_for, training_rows
from vitlab.errors import UserError

_EMPTY, _CROWDED = 0.05, 0.1  # of all pictures
_USUAL, _MOST = 4, 8  # digits of a picture, of a crowded one
_HEIGHTS = 0.18, 0.5  # of a digit, in sides of the picture
_COVERED = 0.2  # of a digit by another one
_TRIES = 20  # to find a place before a digit is left out
_STREAMS = dict(train=0, test=1)


def make(image_size: int = 64, train: int = 4000, test: int = 500, seed: int = 0) -> Dataset:
  """Splits 'train' and 'test' in memory, pictures uint8 [image_size, image_size, 1].

  Args:
    image_size: Height and width of the pictures.
    train: How many pictures.
    test: How many pictures.
    seed: Of the generator.

  Raises:
    UserError: pictures too small to show digits, or none; what is no whole number.
  """
  whole = all(isinstance(number, int) for number in (image_size, train, test, seed))
  if not whole or image_size < 32 or min(train, test) < 1:
    raise UserError(
      f'data set scattered_digits: image_size={image_size}, train={train}, test={test}, seed={seed}'
      '\nexpected one number each, image_size 32 or more, train and test at least 1'
    )
  parts, facts = registry.make('data.sets', dict(name='digits'))
  counts = dict(train=train, test=test)
  return Dataset(
    splits={
      split: _split(split, parts[split].arrays, counts[split], image_size, seed) for split in parts
    },
    facts=dict(
      num_classes=facts['num_classes'],
      class_names=facts['class_names'],
      class_ids=list(range(facts['num_classes'])),
      max_objects=rows_for(_MOST),
      image=dict(image_size=(image_size, image_size), channels=1, resize='fit'),
      shapes=[[image_size, image_size]],
    ),
  )


def _split(
  name: str, parts: dict[str, np.ndarray], count: int, side: int, seed: int
) -> AnnotatedArrays:
  inks = [_ink(image[..., 0]) for image in parts['image']]
  pictures, annotations = np.empty((count, side, side, 1), np.uint8), []
  for i in range(count):
    # The legacy generator, whose stream NumPy promises never to change.
    random = RandomState([seed, _STREAMS[name], i])
    pictures[i, ..., 0], boxes, chosen = _picture(inks, side, random)
    annotations.append(_annotation(f'{name} {i}', i, side, boxes, parts['label'][chosen]))
  rows = [training_rows(truth, (side, side), rows_for(_MOST)) for truth in annotations]
  boxes, classes = map(np.stack, zip(*rows))
  size = np.full((count, 2), side, np.int32)
  arrays = dict(image=pictures, size=size, boxes=boxes, classes=classes)
  return AnnotatedArrays(arrays, annotations)


def _annotation(name: str, number: int, side: int, boxes: np.ndarray, classes: np.ndarray):
  boxes = boxes.astype(np.float64)
  none = np.zeros(len(boxes), bool)
  area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
  return Annotation(name, number, side, side, boxes, classes, area, crowd=none, difficult=none)


def _ink(image: UInt8[np.ndarray, 'h w']) -> Image.Image:
  """A digit without the empty rows and columns around it."""
  y, x = np.nonzero(image)
  return Image.fromarray(image[y.min() : y.max() + 1, x.min() : x.max() + 1])


def _picture(
  inks: Sequence[Image.Image], side: int, random: RandomState
) -> tuple[UInt8[np.ndarray, 'h w'], Int[np.ndarray, 'o 4'], Int[np.ndarray, ' o']]:
  """A picture, the boxes of its digits, and which digits they are."""
  canvas = _background(side, random)
  boxes, chosen = np.zeros((0, 4), np.int64), []
  for _ in range(_how_many(random)):
    number = random.randint(len(inks))
    height = random.uniform(*_HEIGHTS) * side
    width = height * inks[number].width / inks[number].height
    size = max(3, round(width)), max(3, round(height))
    box = _place(size, boxes, side, random)
    if box is None:
      continue
    boxes, chosen = np.append(boxes, box[None], axis=0), [*chosen, number]
    ink = np.asarray(inks[number].resize(size, Image.Resampling.BILINEAR)) / 255
    part = canvas[box[1] : box[3], box[0] : box[2]]
    part += (random.uniform(190, 255) - part) * ink
  return canvas.astype(np.uint8), boxes, np.array(chosen, np.int64)


def _how_many(random: RandomState) -> int:
  kind = random.uniform()
  if kind < _EMPTY:
    return 0
  low, high = (_USUAL + 1, _MOST) if kind > 1 - _CROWDED else (1, _USUAL)
  return random.randint(low, high + 1)


def _background(side: int, random: RandomState) -> np.ndarray:
  """Grey, lighter to one side, with noise."""
  slope = random.uniform(-25, 25, 2)
  across = np.linspace(-1, 1, side)
  ground = random.uniform(40, 110) + slope[0] * across[:, None] + slope[1] * across
  return np.clip(ground + random.uniform(2, 8) * random.standard_normal((side, side)), 0, 255)


def _place(
  size: tuple[int, int], boxes: Int[np.ndarray, 'o 4'], side: int, random: RandomState
) -> Int[np.ndarray, ' 4'] | None:
  """Where a digit hides no other one and is not hidden; None if no such place is found soon."""
  size = np.array(size)
  for _ in range(_TRIES):
    corner = random.randint(0, side - size + 1)
    box = np.concatenate([corner, corner + size])
    if not len(boxes):
      return box
    common = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    smaller = np.minimum(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), np.prod(size))
    if (np.prod(np.maximum(common, 0), axis=1) <= _COVERED * smaller).all():
      return box
  return None
