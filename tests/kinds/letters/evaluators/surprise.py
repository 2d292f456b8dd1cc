"""exp of the mean loss of a token."""

import numpy as np

from vitlab.evaluators import Result

LEADS = 'perplexity'


def make(split='test'):
  def evaluate(predictions):
    losses = np.concatenate([found for found, _ in predictions('losses', split)])
    return Result(dict(perplexity=np.exp(losses.mean())), dict(by_place=losses.mean(axis=0)))

  return evaluate
