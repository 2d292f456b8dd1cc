"""Average precision as Pascal VOC counts it: voc_eval.py of py-faster-rcnn, by one overlap.

VOC's files give the first and the last pixel of a box, so that its widths have + 1. Here the box of
pixels 1 to 10 is [0, 10]: the same widths, and the same overlaps.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from vitlab.evaluators._detected import Picture, overlap


def metrics(pictures: Sequence[Picture], num_classes: int) -> dict[str, float]:
  """Means over the classes of which there is an object, be it difficult or part of a crowd."""
  curves = []
  for k in range(num_classes):
    if any((picture.truth.classes == k).any() for picture in pictures):
      curves.append(curve(pictures, k))
  if not curves:
    return {}
  means = zip(*((eleven_points(*c), area_under(*c)) for c in curves))
  return dict(zip(('ap50_voc2007', 'ap50_voc2012'), map(float, map(np.mean, means))))


def curve(
  pictures: Sequence[Picture], k: int, threshold: float = 0.5
) -> tuple[Float[np.ndarray, ' n'], Float[np.ndarray, ' n']]:
  """Recall and precision of a class after each of its detections, the surest first.

  A detection belongs to the object that it overlaps most, by more than the threshold. Difficult
  objects and crowds need not be found, and what belongs to them does not count; of two detections
  of another object the second is wrong. Recall is NaN where no object counts.
  """
  scores, right, wrong, there = [np.zeros(0)], [np.zeros(0, bool)], [np.zeros(0, bool)], 0
  for picture in pictures:
    ours = picture.truth.classes == k
    free = (picture.truth.difficult | picture.truth.crowd)[ours]
    there += int((~free).sum())
    found = picture.kept(picture.classes == k)
    found = found.kept(np.argsort(-found.scores, kind='stable'))
    ious = overlap(found.boxes, picture.truth.boxes[ours])
    hits, misses = _judged(ious, free, threshold)
    for column, part in zip((scores, right, wrong), (found.scores, hits, misses)):
      column.append(part)
  order = np.argsort(-np.concatenate(scores), kind='stable')
  right, wrong = (np.cumsum(np.concatenate(x)[order]) for x in (right, wrong))
  recall = right / there if there else np.full(len(right), np.nan)
  return recall, right / np.maximum(right + wrong, 1)


def eleven_points(recall: np.ndarray, precision: np.ndarray) -> float:
  """VOC 2007: the mean of the best precision at a recall of 0, 0.1, ... 1 or higher."""
  best = [precision[recall >= r].max(initial=0) for r in np.arange(0, 1.1, 0.1)]
  return sum(best) / 11


def area_under(recall: np.ndarray, precision: np.ndarray) -> float:
  """VOC since 2010: the area under the best precision at that recall or higher."""
  if np.isnan(recall).any() or not len(recall):
    return 0.0
  best = np.maximum.accumulate(precision[::-1])[::-1]
  return float((np.diff(recall, prepend=0) * best).sum())


def _judged(
  ious: Float[np.ndarray, 'n m'], free: Bool[np.ndarray, ' m'], threshold: float
) -> tuple[Bool[np.ndarray, ' n'], Bool[np.ndarray, ' n']]:
  """Which of one picture's detections are right, and which are wrong; the others do not count."""
  right, wrong = np.zeros((2, len(ious)), bool)
  taken = np.zeros(len(free), bool)
  for i, row in enumerate(ious):
    j = row.argmax() if len(row) else 0
    if not len(row) or not row[j] > threshold:
      wrong[i] = True
    elif not free[j]:
      right[i], wrong[i], taken[j] = not taken[j], taken[j], True
  return right, wrong
