"""What a data set says of the objects in a picture, untouched: what detectors are measured by."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int


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
