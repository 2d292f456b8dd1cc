"""k nearest neighbours on frozen features: what a model knows without training anything on top.

Wu et al. 2018 (arXiv:1805.01978), section 3.4, with the settings of DINO (arXiv:2104.14294): each
of the k training examples of largest cosine similarity s votes for its class with exp(s / 0.07).
"""

from collections.abc import Callable

import numpy as np

from vitlab.errors import UserError
from vitlab.evaluators import Predictions, Result, features_of

LEADS = 'accuracy'
CHUNK_BYTES = 256 * 2**20  # of similarities at a time


def make(
  split: str = 'test', train_split: str = 'train', k: int = 20, temperature: float = 0.07
) -> Callable[[Predictions], Result]:
  """Reads the task's `features`; metrics: accuracy, top5_accuracy (of more than 5 classes).

  Equal votes go to the lower class; features that are NaN count as wrong. No details.

  Raises:
    UserError: k or temperature is not positive, or a split is empty.
  """
  if k < 1 or temperature <= 0:
    raise UserError(f'nearest_neighbours(k={k}, temperature={temperature}): both must be positive')

  def evaluate(predictions: Predictions) -> Result:
    known, known_label = _read(predictions, train_split)
    features, label = _read(predictions, split)
    num_classes = int(max(label.max(), known_label.max())) + 1
    chunk = max(1, CHUNK_BYTES // (4 * len(known)))
    rank = np.concatenate(
      [
        _rank(
          _votes(features[i : i + chunk], known, known_label, num_classes, k, temperature),
          label[i : i + chunk],
        )
        for i in range(0, len(label), chunk)
      ]
    )
    metrics = {'accuracy': float(np.mean(rank < 1))}
    if num_classes > 5:
      metrics['top5_accuracy'] = float(np.mean(rank < 5))
    return Result(metrics, {})

  return evaluate


def _read(predictions: Predictions, split: str) -> tuple[np.ndarray, np.ndarray]:
  """Features of length 1, and labels."""
  found, label = features_of(predictions, split, np.float32)
  return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12), label


def _votes(features, known, known_label, num_classes, k, temperature) -> np.ndarray:
  """[examples, classes]."""
  similarity = features @ known.T
  k = min(k, len(known))
  nearest = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
  # Relative to the largest similarity there can be, so that no temperature overflows.
  weight = np.exp((np.take_along_axis(similarity, nearest, axis=1) - 1.0) / temperature)
  votes = np.zeros((len(features), num_classes))
  np.add.at(votes, (np.arange(len(features))[:, None], known_label[nearest]), weight)
  return votes


def _rank(votes: np.ndarray, label: np.ndarray) -> np.ndarray:
  """How many classes come before the label; counted from below, since NaN compares as False."""
  own = np.take_along_axis(votes, label[:, None], axis=1)
  behind = (votes < own) | ((votes == own) & (np.arange(votes.shape[1]) > label[:, None]))
  return votes.shape[1] - 1 - behind.sum(axis=1)
