"""A linear probe on frozen features: how well a hyperplane separates the classes.

Multinomial logistic regression on standardised features, as in CLIP (arXiv:2103.00020, appendix
A.3): the strength of regularisation is chosen on a held-out part of the training split, then the
probe is fitted to all of it.
"""

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from vitlab.errors import UserError
from vitlab.evaluators import Predictions, Result, features_of

LEADS = 'accuracy'
HELD_OUT = 10  # every tenth training example of each class chooses the strength


def make(
  split: str = 'test',
  train_split: str = 'train',
  l2: Sequence[float] = (1e-4, 1e-3, 1e-2, 1e-1),
  max_iterations: int = 200,
) -> Callable[[Predictions], Result]:
  """Reads the task's `features`; metrics: accuracy, train_accuracy, l2 (the chosen one).

  Args:
    split: Where the probe is measured.
    train_split: What it is fitted to.
    l2: Strengths to try: the loss is the mean cross-entropy + l2 / 2 |weights|^2.
    max_iterations: Of L-BFGS, for each fit. One that is cut off there still counts.

  Raises:
    UserError: no strength or one that is not positive; when it runs, a split that is empty or has
      only one class, features that are not finite.
  """
  if not l2 or min(l2) <= 0:
    raise UserError(f'linear_probe(l2={tuple(l2)}): give one or more positive strengths')

  def evaluate(predictions: Predictions) -> Result:
    features, label = _read(predictions, train_split)
    mean, std = features.mean(axis=0), features.std(axis=0)
    # A feature that never moves says nothing, and must not become noise.
    scale = np.where(std > 1e-6 * np.abs(mean) + 1e-12, std, np.inf)
    features = (features - mean) / scale
    chosen = _choose(features, label, l2, max_iterations)
    probe = _fit(features, label, chosen, max_iterations)
    test_features, test_label = _read(predictions, split)
    metrics = dict(
      accuracy=probe.score((test_features - mean) / scale, test_label),
      train_accuracy=probe.score(features, label),
      l2=chosen,
    )
    return Result({name: float(value) for name, value in metrics.items()}, {})

  return evaluate


def _read(predictions: Predictions, split: str) -> tuple[np.ndarray, np.ndarray]:
  found, label = features_of(predictions, split, np.float64)
  if not np.isfinite(found).all():
    raise UserError(
      f'the features of the split {split!r} are not all finite, a linear probe cannot be fitted: '
      'look whether the model has diverged'
    )
  return found, label


def _choose(
  features: np.ndarray, label: np.ndarray, l2: Sequence[float], max_iterations: int
) -> float:
  """The strength with the best held-out accuracy; of equal ones the strongest."""
  held_out = np.zeros(len(label), bool)
  for index in range(label.max() + 1):
    held_out[np.flatnonzero(label == index)[HELD_OUT - 1 :: HELD_OUT]] = True
  if len(l2) == 1 or not held_out.any():
    return max(l2)
  kept, kept_label = features[~held_out], label[~held_out]

  def score(strength: float) -> tuple[float, float]:
    probe = _fit(kept, kept_label, strength, max_iterations)
    return probe.score(features[held_out], label[held_out]), strength

  return max(map(score, l2))[1]


def _fit(features: np.ndarray, label: np.ndarray, l2: float, max_iterations: int):
  # Imported late: most runs have no probe, and it takes a second.
  from sklearn.exceptions import ConvergenceWarning
  from sklearn.linear_model import LogisticRegression

  if (label == label[0]).all():
    raise UserError('a linear probe needs examples of two classes, its training split has one')
  with warnings.catch_warnings():
    warnings.simplefilter('ignore', ConvergenceWarning)
    # scikit-learn weighs the sum of the losses, with C, against |weights|^2 / 2.
    return LogisticRegression(C=1.0 / (l2 * len(label)), max_iter=max_iterations).fit(
      features, label
    )
