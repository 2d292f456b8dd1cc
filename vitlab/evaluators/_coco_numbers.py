"""Precision and recall over scores, overlaps, sizes and numbers of detections, by pycocotools."""

import contextlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from pycocotools import coco, cocoeval

from vitlab.evaluators._detected import Picture, corner_and_sides

SIZES = ('all', 'small', 'medium', 'large')
RECALL = np.linspace(0, 1, 101)
_FIFTY, _SEVENTY_FIVE = 0, 5  # of ten thresholds of overlap, 0.5 to 0.95


class Measured(NamedTuple):
  """Letters: t threshold of overlap, r of `RECALL`, k class, a of `SIZES`, m detections a picture.

  Attributes:
    precision: The best at a recall as high as that or higher; -1 where there is no such object.
    scores: The lowest score that gives it.
    recall: The highest; -1 where there is no such object.
    found: Detections that count at an overlap of 0.5, the surest first: their scores.
    right: Which of them are right.
    objects: How many there are of each class that count.
  """

  precision: Float[np.ndarray, 't r k a m']
  scores: Float[np.ndarray, 't r k a m']
  recall: Float[np.ndarray, 't k a m']
  found: Float[np.ndarray, ' n']
  right: Bool[np.ndarray, ' n']
  objects: Float[np.ndarray, ' k']


def measure(pictures: Sequence[Picture], num_classes: int, limits: Sequence[int]) -> Measured:
  """Runs pycocotools over pictures.

  It is given pictures, classes and objects that are numbered anew: of its own accord an object
  with id 0 is never found, and one of two with the same id is lost.

  Args:
    pictures: Of a split.
    num_classes: Detections and objects of other classes do not count.
    limits: How many detections of a class count in a picture, ascending.
  """
  pictures = sorted(pictures, key=_by_id)
  found, truth = map(enumerate, (_found(pictures), _truth(pictures)))
  with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does
    evaluation = cocoeval.COCOeval(
      *(_index(rows, len(pictures), num_classes) for rows in (truth, found)), iouType='bbox'
    )
    evaluation.params.maxDets = list(limits)
    evaluation.evaluate()
    evaluation.accumulate()
  names = 'precision', 'scores', 'recall'
  arrays = [evaluation.eval[name] for name in names]
  return Measured(*arrays, *_at_fifty(evaluation.evalImgs, len(pictures), num_classes))


def metrics(measured: Measured, limits: Sequence[int]) -> dict[str, float]:
  """COCO's twelve numbers, without those of sizes that no object has."""
  precision, recall = measured.precision[..., -1], measured.recall
  parts = dict(
    ap=precision[..., 0],
    ap50=precision[_FIFTY, ..., 0],
    ap75=precision[_SEVENTY_FIVE, ..., 0],
  )
  parts |= {f'ap_{size}': precision[..., a] for a, size in enumerate(SIZES) if a}
  parts |= {f'ar{limit}': recall[..., 0, m] for m, limit in enumerate(limits)}
  parts |= {f'ar_{size}': recall[..., a, -1] for a, size in enumerate(SIZES) if a}
  return {name: float(x[x >= 0].mean()) for name, x in parts.items() if (x >= 0).any()}


def details(measured: Measured) -> dict[str, Any]:
  """By class, and the curves at an overlap of 0.5."""
  precision, scores = _known(measured.precision[..., -1]), measured.scores[..., -1]
  scores = np.where(np.isnan(precision), np.nan, scores)
  return dict(
    class_ap=precision[..., 0].mean(axis=(0, 1)),
    class_ap50=precision[_FIFTY, ..., 0].mean(axis=0),
    class_recall50=_known(measured.recall[_FIFTY, :, 0, -1]),
    class_count=measured.objects.astype(np.int32),
    sizes=np.array(SIZES),
    curve_recall=RECALL,
    curve_precision=np.moveaxis(precision[_FIFTY], 0, -1).astype(np.float32),
    curve_score=np.moveaxis(scores[_FIFTY], 0, -1).astype(np.float32),
  )


def operating_point(measured: Measured) -> dict[str, float]:
  """The score from which on the harmonic mean of precision and recall, of all classes together, is
  best at an overlap of 0.5, and these three; a score of infinity where nothing right is found.
  """
  right = np.cumsum(measured.right)
  said, there = np.arange(1, len(right) + 1), measured.objects.sum()
  # Equal scores stay together: no threshold parts them.
  last = np.append(np.diff(measured.found) != 0, True)[: len(right)]
  f1 = np.where(last, 2 * right / (said + there), 0)
  if not f1.any():
    return dict(score=np.inf, precision=0.0, recall=0.0, f1=0.0)
  best = int(f1.argmax())
  precision, recall = right[best] / said[best], right[best] / there
  return dict(score=measured.found[best], precision=precision, recall=recall, f1=f1[best])


def _by_id(picture: Picture) -> tuple[bool, Any, int]:
  """Equal scores of two pictures: COCO puts that of the lower id first."""
  name = picture.truth.image_id
  return isinstance(name, str), name, picture.index


def _truth(pictures: Sequence[Picture]) -> Iterator[dict[str, Any]]:
  for i, (_, truth, *_) in enumerate(pictures):
    boxes, crowd = corner_and_sides(truth.boxes), truth.crowd.astype(int)
    yield from _rows(i, boxes, truth.classes, area=truth.area, iscrowd=crowd)


def _found(pictures: Sequence[Picture]) -> Iterator[dict[str, Any]]:
  for i, (_, _, boxes, scores, classes) in enumerate(pictures):
    boxes = corner_and_sides(boxes)
    yield from _rows(i, boxes, classes, area=boxes[:, 2] * boxes[:, 3], score=scores)


def _rows(
  picture: int, boxes: np.ndarray, classes: np.ndarray, **columns: np.ndarray
) -> Iterator[dict[str, Any]]:
  columns = dict(bbox=boxes, category_id=classes) | columns
  for row in zip(*(column.tolist() for column in columns.values())):
    yield dict(zip(columns, row)) | dict(image_id=picture)


def _index(
  rows: Iterable[tuple[int, dict[str, Any]]], pictures: int, num_classes: int
) -> coco.COCO:
  indexed = coco.COCO()
  indexed.dataset = dict(
    images=[dict(id=i) for i in range(pictures)],
    categories=[dict(id=k) for k in range(num_classes)],
    annotations=[row | dict(id=number + 1) for number, row in rows],
  )
  indexed.createIndex()
  return indexed


def _at_fifty(
  evaluated: Sequence[Mapping[str, Any] | None], pictures: int, num_classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """`found`, `right` and `objects`, from what is known of each class in each picture."""
  found, right, objects = [np.zeros(0)], [np.zeros(0, bool)], np.zeros(num_classes)
  for k in range(num_classes):
    start = k * len(SIZES) * pictures
    for one in filter(None, evaluated[start : start + pictures]):
      counts = ~one['dtIgnore'][_FIFTY].astype(bool)
      found.append(np.asarray(one['dtScores'], np.float64)[counts])
      right.append(one['dtMatches'][_FIFTY][counts] > 0)
      objects[k] += (one['gtIgnore'] == 0).sum()
  scores = np.concatenate(found)
  order = np.argsort(-scores, kind='stable')
  return scores[order], np.concatenate(right)[order], objects


def _known(x: np.ndarray) -> np.ndarray:
  """NaN for pycocotools' -1."""
  return np.where(x < 0, np.nan, x)
