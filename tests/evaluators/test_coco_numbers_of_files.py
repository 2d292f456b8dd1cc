"""COCO's own file, read by us and by pycocotools: the same numbers of the same detections."""

import contextlib
import io

import numpy as np
import pytest
from _helpers.detections import twelve
from _helpers.real_data import ROOT
from pycocotools import coco, cocoeval

from vitlab.data.sets import coco as coco_set
from vitlab.evaluators import average_precision

FOLDER = ROOT / 'coco_tiny'

pytestmark = pytest.mark.data


def noisy(truth, rng):
  """Boxes near the true ones, some of them of other classes, and some of nothing."""
  boxes = np.repeat(truth.boxes, 2, axis=0)
  side = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
  boxes = boxes + rng.normal(0, 0.08, boxes.shape) * side
  low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
  classes = np.repeat(truth.classes, 2)
  other = rng.random(len(classes)) < 0.2
  classes = np.where(other, rng.integers(0, 80, len(classes)), classes)
  return np.concatenate([low, high], axis=1), rng.random(len(classes)), classes


def test_numbers_are_those_of_the_file():
  dataset = coco_set.make(str(FOLDER))
  split, ids = dataset.splits['val'], dataset.facts['class_ids']
  rng = np.random.default_rng(0)
  batches, results = [], []
  for i in range(len(split)):
    truth = split.truth(i)
    boxes, scores, classes = noisy(truth, rng)
    size = split.sizes[i]
    scale = np.tile(size[::-1] / [truth.width, truth.height], 2)
    seen = (boxes * scale).astype(np.float32)
    found = dict(boxes=seen[None], scores=scores[None], classes=classes[None])
    batches.append((found, dict(index=np.array([i]), size=size[None], truth=[truth])))
    for box, score, number in zip(seen / scale, scores.tolist(), classes):
      left, top, right, bottom = box.tolist()
      row = dict(image_id=truth.image_id, category_id=ids[number], score=score)
      results.append(row | dict(bbox=[left, top, right - left, bottom - top]))
  with contextlib.redirect_stdout(io.StringIO()):
    theirs = coco.COCO(str(FOLDER / 'instances_val2017.json'))
    evaluation = cocoeval.COCOeval(theirs, theirs.loadRes(results), 'bbox')
    for step in (evaluation.evaluate, evaluation.accumulate, evaluation.summarize):
      step()
  metrics, details = average_precision.make(80, 'val')(lambda *_: iter(batches))
  np.testing.assert_allclose(twelve(metrics), evaluation.stats, rtol=1e-9)
  assert 0.2 < metrics['ap'] < 0.9
  assert details['class_count'].sum() == 815 - 11  # of which are crowds
