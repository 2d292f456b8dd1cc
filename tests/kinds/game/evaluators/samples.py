"""How far the mean of as many samples as there are examples lies from that of the examples."""

import numpy as np

from vitlab.evaluators import Result

LEADS = 'distance'


def make(split='test'):
  def evaluate(predictions):
    pairs = [(drawn, batch['points']) for drawn, batch in predictions('samples', split)]
    drawn, points = (np.concatenate(side) for side in zip(*pairs))
    distance = np.linalg.norm(drawn.mean(axis=0) - points.mean(axis=0))
    return Result(dict(distance=distance), dict(samples=drawn))

  return evaluate
