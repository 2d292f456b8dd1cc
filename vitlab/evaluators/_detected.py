"""What a detector found in pictures, beside what there is, in pixels of the pictures' files."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from pycocotools import mask

from vitlab.data.annotations import Annotation, in_file
from vitlab.errors import UserError

Boxes = Float[np.ndarray, 'n 4']


class Picture(NamedTuple):
  """One picture of a split.

  Attributes:
    index: In the split.
    truth: What there is.
    boxes: What was found, left, top, right and bottom, as the detector sorted it.
    scores: Of what was found.
    classes: Of what was found.
  """

  index: int
  truth: Annotation
  boxes: Boxes
  scores: Float[np.ndarray, ' n']
  classes: Int[np.ndarray, ' n']

  def kept(self, which: Any) -> 'Picture':
    """The picture with a part of what was found."""
    found = self.boxes[which], self.scores[which], self.classes[which]
    return Picture(self.index, self.truth, *found)


def read(outputs: Iterator[tuple[Any, Mapping[str, Any]]], num_classes: int) -> Iterator[Picture]:
  """The pictures of what a task's `detections` or `candidates` give, without their empty rows.

  Args:
    outputs: Of the predict function.
    num_classes: Detections of other classes are left out.

  Raises:
    UserError: an object of another class; a score or a box that is not a finite number.
  """
  for found, batch in outputs:
    columns = [batch['index'], batch['truth'], batch['size']]
    columns += [np.asarray(found[key]) for key in ('boxes', 'scores', 'classes')]
    for index, truth, size, boxes, scores, classes in zip(*columns):
      there = (classes >= 0) & (classes < num_classes)
      boxes = in_file(boxes[there], size, (truth.height, truth.width))
      scores = scores[there].astype(np.float64)
      if truth.classes.max(initial=0) >= num_classes:
        raise UserError(
          f'{truth.name}: an object of class {truth.classes.max()}, of {num_classes} classes'
          '\nset num_classes to that of the data, or choose a split of the classes of the model'
        )
      if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise UserError(
          f'{truth.name}: the model finds a box or a score that is not a finite number'
          '\nthe training has diverged: lower the learning rate, or clip the gradient'
        )
      yield Picture(int(index), truth, boxes, scores, classes[there].astype(np.int64))


def suppressed(picture: Picture, threshold: float) -> Picture:
  """Without the boxes that overlap a surer one of their class by more than the threshold."""
  picture = picture.kept(np.argsort(-picture.scores, kind='stable'))
  same = picture.classes[:, None] == picture.classes
  rivals = same & (overlap(picture.boxes, picture.boxes) > threshold)
  kept = np.ones(len(rivals), bool)
  for i, row in enumerate(rivals):
    if kept[i]:
      kept[i + 1 :] &= ~row[i + 1 :]
  return picture.kept(kept)


def overlap(
  boxes: Boxes, truth: Float[np.ndarray, 'm 4'], crowd: Bool[np.ndarray, ' m'] | None = None
) -> Float[np.ndarray, 'n m']:
  """Intersection over union of all pairs; over the area of the box where the truth is a crowd."""
  if not len(boxes) or not len(truth):
    return np.zeros((len(boxes), len(truth)))
  crowd = np.zeros(len(truth)) if crowd is None else crowd
  return mask.iou(corner_and_sides(boxes), corner_and_sides(truth), crowd.astype(np.uint8))


def corner_and_sides(boxes: Boxes) -> Boxes:
  """Left, top, width and height, as COCO has them."""
  return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
