"""The mean squared error."""

import numpy as np

from vitlab.evaluators import Result

LEADS = 'error'


def make(split='test'):
  def evaluate(predictions):
    rows = [((found - batch['target']) ** 2) for found, batch in predictions('followed', split)]
    return Result(dict(error=np.mean(np.concatenate(rows))), {})

  return evaluate
