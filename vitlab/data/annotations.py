"""What a data set says of the objects in a picture: what detectors are measured by and learn from.

Measured untouched, as the file has it; learned without crowds and without what no pixel shows.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32

_ROWS = 4  # numbers of objects are rounded up to a multiple of this, so that sets share programs


class Annotation(NamedTuple):
  """The objects of one picture, in pixels of its file.

  Attributes:
    name: The picture's file, or what stands for one.
    image_id: Its id in the data set, for results that other tools read.
    height: Of the picture.
    width: Of the picture.
    boxes: Left, top, right and bottom of each object; pixel i covers [i, i + 1].
    classes: Their classes, numbered as the model's are.
    area: Of the objects, which may be less than their boxes': COCO's sizes are measured by it.
    crowd: Which are regions of many objects, in which a detector may find any number (COCO).
    difficult: Which need not be found (Pascal VOC).
  """

  name: str
  image_id: int | str
  height: int
  width: int
  boxes: Float[np.ndarray, 'o 4']
  classes: Int[np.ndarray, ' o']
  area: Float[np.ndarray, ' o']
  crowd: Bool[np.ndarray, ' o']
  difficult: Bool[np.ndarray, ' o']


def in_file(
  boxes: Float[np.ndarray, 'q 4'],
  size: Int[np.ndarray, ' 2'],
  original: tuple[int, int],
) -> Float[np.ndarray, 'q 4']:
  """Boxes in pixels of the picture that a model saw, as boxes in pixels of its file.

  Args:
    boxes: Left, top, right, bottom.
    size: Height and width of the picture inside of what the model saw.
    original: Those of the file's picture.
  """
  height, width = np.divide(original, size)
  return np.asarray(boxes, np.float64) * (width, height, width, height)


def clipped(annotation: Annotation) -> Float[np.ndarray, 'o 4']:
  """The boxes without what lies outside of the picture."""
  frame = np.array([annotation.width, annotation.height] * 2, np.float64)
  return np.clip(annotation.boxes, 0, frame)


def trainable(annotation: Annotation) -> Bool[np.ndarray, ' o']:
  """The objects that a detector learns from, as DETR takes them.

  Neither crowds nor boxes without any area inside of the picture; difficult ones are.
  """
  x1, y1, x2, y2 = clipped(annotation).T
  return ~annotation.crowd & (x2 > x1) & (y2 > y1)


def training_rows(
  annotation: Annotation, size: tuple[int, int], max_objects: int
) -> tuple[Float32[np.ndarray, 'o 4'], Int32[np.ndarray, ' o']]:
  """Boxes and classes of the objects to learn from; rows without an object are 0 and -1.

  Args:
    annotation: Of the picture.
    size: (height, width) in which the model sees it.
    max_objects: Of rows, at least as many as the picture has objects.
  """
  height, width = size
  kept = trainable(annotation)
  scale = np.array([width / annotation.width, height / annotation.height] * 2)
  boxes, classes = np.zeros((max_objects, 4), np.float32), np.full(max_objects, -1, np.int32)
  boxes[: kept.sum()] = clipped(annotation)[kept] * scale
  classes[: kept.sum()] = annotation.classes[kept]
  return boxes, classes


def rows_for(most: int) -> int:
  """How many rows hold so many objects: a multiple of 4."""
  return max(1, -(-most // _ROWS)) * _ROWS
