"""How far an angle that was said lies from the true one, in degrees."""

import numpy as np

from vitlab.evaluators import Predictions, Result

LEADS = 'mean_absolute_error'


def make(split: str = 'test'):
  """`mean_absolute_error`, `median_absolute_error` in degrees; details: each error, each label."""

  def evaluate(predictions: Predictions) -> Result:
    errors, labels = [], []
    for said, batch in predictions('angle', split):
      true = np.rad2deg(np.arctan2(batch['turn'][:, 0], batch['turn'][:, 1]))
      errors.append((said - true + 180) % 360 - 180)
      labels.append(batch['label'])
    errors, labels = np.concatenate(errors), np.concatenate(labels)
    size = np.abs(errors)
    metrics = dict(mean_absolute_error=size.mean(), median_absolute_error=np.median(size))
    return Result(metrics, dict(errors=errors, labels=labels))

  return evaluate
