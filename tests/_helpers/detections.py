"""Pictures of a detector's split: what there is, what is found, and what evaluators are handed."""

import contextlib
import io
from typing import NamedTuple

import numpy as np
from pycocotools import coco, cocoeval

from vitlab.data.annotations import Annotation

SIDE = 640
BOX, FAR = (0, 0, 10, 10), (500, 500, 10, 10)
SIZES = ['small', 'medium', 'large']
NAMES = ['ap', 'ap50', 'ap75', *(f'ap_{size}' for size in SIZES)]
NAMES += ['ar1', 'ar10', 'ar100', *(f'ar_{size}' for size in SIZES)]


class Truth(NamedTuple):
  """An object; its box is [x, y, w, h], as COCO writes it."""

  box: tuple
  label: int = 0
  area: float | None = None
  crowd: bool = False
  difficult: bool = False


class Found(NamedTuple):
  """A detection."""

  box: tuple
  score: float
  label: int = 0


def annotation(objects, image_id=1, side=SIDE):
  box = corners([one.box for one in objects])
  area = [one.box[2] * one.box[3] if one.area is None else one.area for one in objects]
  return Annotation(
    name=f'{image_id}.png',
    image_id=image_id,
    height=side,
    width=side,
    boxes=box,
    classes=np.array([one.label for one in objects], np.int64),
    area=np.array(area, np.float64),
    crowd=np.array([one.crowd for one in objects], bool),
    difficult=np.array([one.difficult for one in objects], bool),
  )


def corners(boxes):
  boxes = np.array(boxes, np.float64).reshape(-1, 4)
  return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def predictions(pictures, ids=None, rows=2, padding=3, scale=1.0):
  """What an evaluator reads.

  Args:
    pictures: (objects, detections) of each.
    ids: Of the images, by default 1, 2, ...
    rows: Pictures a batch.
    padding: Empty rows behind the detections of each.
    scale: Of the pictures that the model sees.
  """
  ids = ids or range(1, len(pictures) + 1)

  def predict(name, split):
    assert name in ('detections', 'candidates') and split == 'test'
    for start in range(0, len(pictures), rows):
      part = pictures[start : start + rows]
      width = padding + max(len(found) for _, found in part)
      boxes, scores = np.zeros((len(part), width, 4), np.float32), np.zeros((len(part), width))
      classes = np.full((len(part), width), -1)
      for row, (_, found) in enumerate(part):
        boxes[row, : len(found)] = corners([one.box for one in found]) * scale
        scores[row, : len(found)] = [one.score for one in found]
        classes[row, : len(found)] = [one.label for one in found]
      size = np.full((len(part), 2), round(SIDE * scale))
      index = np.arange(start, start + len(part))
      truth = [annotation(objects, ids[i]) for i, (objects, _) in zip(index, part)]
      outputs = dict(boxes=boxes, scores=scores.astype(np.float32), classes=classes)
      yield outputs, dict(index=index, size=size, truth=truth)

  return predict


def by_pycocotools(pictures, num_classes, ids=None, limits=(1, 10, 100)):
  """The twelve numbers of pycocotools' own summary, -1 where there is none; ids are from 1."""
  ids = ids or list(range(1, len(pictures) + 1))
  objects, found = [], []
  for image_id, (truths, detections) in zip(ids, pictures):
    for one in truths:
      area = one.box[2] * one.box[3] if one.area is None else one.area
      row = dict(image_id=image_id, category_id=one.label, bbox=list(one.box), area=area)
      objects.append(row | dict(id=len(objects) + 1, iscrowd=int(one.crowd)))
    for one in detections:
      score = float(np.float32(one.score))
      row = dict(image_id=image_id, category_id=one.label, bbox=list(one.box), score=score)
      found.append(row)
  truth = coco.COCO()
  truth.dataset = dict(
    images=[dict(id=i, width=SIDE, height=SIDE) for i in ids],
    categories=[dict(id=k) for k in range(num_classes)],
    annotations=objects,
  )
  with contextlib.redirect_stdout(io.StringIO()):
    truth.createIndex()
    evaluation = cocoeval.COCOeval(truth, truth.loadRes(found), 'bbox')
    evaluation.params.maxDets = list(limits)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
  return evaluation.stats


def twelve(metrics):
  """Those that we have, -1 for those that we leave out."""
  return [metrics.get(name, -1) for name in NAMES]


def random_picture(rng, num_classes=3, objects=6):
  """Objects, and detections near them, some of them of nothing; many scores are equal."""
  truths, found = [], []
  for _ in range(rng.integers(0, objects + 1)):
    box = (*rng.integers(0, 300, 2), *rng.integers(1, rng.choice([20, 80, 300]), 2))
    crowd = bool(rng.random() < 0.15)
    label = int(rng.integers(num_classes))
    area = float(box[2] * box[3] * rng.choice([1, 0.7]))
    truths.append(Truth(tuple(map(int, box)), label, area, crowd))
    for _ in range(rng.integers(0, 4)):
      moved = np.maximum(np.array(box) + rng.integers(-6, 7, 4), 1)
      guess = label if rng.random() < 0.8 else int(rng.integers(num_classes))
      found.append(Found(tuple(map(int, moved)), _score(rng), guess))
  for _ in range(rng.integers(0, 4)):
    box = (*rng.integers(0, 300, 2), *rng.integers(1, 300, 2))
    found.append(Found(tuple(map(int, box)), _score(rng), int(rng.integers(num_classes))))
  return truths, sorted(found, key=lambda one: -one.score)


def _score(rng):
  return float(np.round(rng.random(), 1 if rng.random() < 0.5 else 3))
