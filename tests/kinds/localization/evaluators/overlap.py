"""Intersection over union of the boxes, and how many classes are right."""

import numpy as np

from vitlab.evaluators import Result

LEADS = 'mean_iou'


def make(split='test'):
  def evaluate(predictions):
    overlaps, right = [], []
    for found, batch in predictions('detected', split):
      boxes, truth = found['boxes'], batch['boxes'][:, 0]
      sides = np.minimum(boxes[:, 2:], truth[:, 2:]) - np.maximum(boxes[:, :2], truth[:, :2])
      shared = np.prod(np.maximum(sides, 0), axis=1)
      areas = [np.prod(np.maximum(b[:, 2:] - b[:, :2], 0), axis=1) for b in (boxes, truth)]
      overlaps.extend(shared / (areas[0] + areas[1] - shared))
      right.extend(found['classes'] == batch['classes'][:, 0])
    metrics = dict(mean_iou=np.mean(overlaps), accuracy=np.mean(right))
    return Result(metrics, dict(overlaps=np.array(overlaps)))

  return evaluate
