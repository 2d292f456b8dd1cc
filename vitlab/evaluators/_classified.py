"""What evaluators of classifiers have in common, of images or of texts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vitlab.errors import UserError
from vitlab.evaluators import Predictions, Result

MAX_MISTAKES = 64
MAX_CONFUSION = 4096  # classes; the matrix of ImageNet-21k would take 2 GB


class _Examples(NamedTuple):
  """What is kept of each example of the split; a row of logits is not."""

  index: np.ndarray  # in the split
  label: np.ndarray
  predicted: np.ndarray  # -1 where a logit is NaN
  confidence: np.ndarray  # the probability of the prediction
  rank: np.ndarray  # how many classes come before the label
  loss: np.ndarray


def check(name: str, top_k: Sequence[int], bins: int) -> None:
  """Raises UserError if bins or a k is not positive."""
  if bins < 1 or any(k < 1 for k in top_k):
    raise UserError(f'{name}(top_k={tuple(top_k)}, bins={bins}): all must be positive')


def scored(predictions: Predictions, split: str, top_k: Sequence[int], bins: int) -> Result:
  """The metrics and details of `vitlab.evaluators.classification`.

  Raises:
    UserError: the split is empty.
  """
  examples, num_classes = _read(predictions('logits', split), split)
  counts = np.bincount(examples.label, minlength=num_classes)
  hits = np.bincount(examples.label[examples.rank == 0], minlength=num_classes)
  with np.errstate(invalid='ignore'):
    class_accuracy = hits / counts
  calibration = _calibration(examples, bins)
  metrics = {
    'accuracy' if k == 1 else f'top{k}_accuracy': np.mean(examples.rank < k)
    for k in top_k
    if k == 1 or k < num_classes
  }
  metrics |= dict(
    loss=np.mean(examples.loss),
    ece=_calibration_error(calibration, len(examples.label)),
    mean_class_accuracy=np.nanmean(class_accuracy),
  )
  details = dict(class_accuracy=class_accuracy, class_count=counts)
  details |= {f'calibration_{name}': column for name, column in calibration.items()}
  details |= {f'mistakes_{name}': column for name, column in _mistakes(examples).items()}
  if num_classes <= MAX_CONFUSION:
    details['confusion'] = _confusion(examples, num_classes)
  return Result({name: float(value) for name, value in metrics.items()}, details)


def _read(outputs: Iterator[tuple[Any, Mapping[str, Any]]], split: str) -> tuple[_Examples, int]:
  parts, num_classes = [], 0
  for logits, batch in outputs:
    num_classes = logits.shape[-1]
    logits, label, index = np.asarray(logits, np.float64), batch['label'], batch['index']
    parts.append(_reduce(logits, np.asarray(label), np.asarray(index)))
  if not parts:
    raise UserError(f'the split {split!r} has no examples to evaluate: choose another split')
  return _Examples(*(np.concatenate(column) for column in zip(*parts))), num_classes


def _reduce(logits: np.ndarray, label: np.ndarray, index: np.ndarray) -> _Examples:
  with np.errstate(invalid='ignore'):  # inf - inf: the NaN shows in the loss
    shifted = logits - logits.max(axis=-1, keepdims=True)
  log_probability = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
  own = np.take_along_axis(logits, label[:, None], axis=-1)
  # Ties go to the lower class, as in argmax. Counted from below, since NaN compares as False.
  behind = (logits < own) | ((logits == own) & (np.arange(logits.shape[-1]) > label[:, None]))
  predicted = np.where(np.isnan(logits).any(axis=-1), -1, logits.argmax(axis=-1))
  return _Examples(
    index=index,
    label=label,
    predicted=predicted,
    confidence=np.exp(log_probability.max(axis=-1)),
    rank=logits.shape[-1] - 1 - behind.sum(axis=-1),
    loss=-np.take_along_axis(log_probability, label[:, None], axis=-1)[:, 0],
  )


def _calibration(examples: _Examples, bins: int) -> dict[str, np.ndarray]:
  """Over equal bins (i / bins, (i + 1) / bins] of confidence; a confidence of NaN is in none."""
  known = ~np.isnan(examples.confidence)
  confidence, right = examples.confidence[known], (examples.rank == 0)[known]
  bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
  count = np.bincount(bin_of, minlength=bins)
  with np.errstate(invalid='ignore'):
    return dict(
      confidence=np.bincount(bin_of, confidence, bins) / count,
      accuracy=np.bincount(bin_of, right, bins) / count,
      count=count,
    )


def _calibration_error(calibration: dict[str, np.ndarray], examples: int) -> float:
  """`sum_i count_i / n |accuracy_i - confidence_i|`; NaN where a confidence is NaN."""
  count = calibration['count']
  if count.sum() < examples:
    return np.nan
  return np.nansum(count * np.abs(calibration['accuracy'] - calibration['confidence'])) / examples


def _confusion(examples: _Examples, num_classes: int) -> np.ndarray:
  confusion = np.zeros((num_classes, num_classes), np.int32)
  known = examples.predicted >= 0
  np.add.at(confusion, (examples.label[known], examples.predicted[known]), 1)
  return confusion


def _mistakes(examples: _Examples) -> dict[str, np.ndarray]:
  wrong = np.flatnonzero(examples.predicted != examples.label)
  wrong = wrong[np.argsort(-examples.confidence[wrong], kind='stable')][:MAX_MISTAKES]
  return dict(
    index=examples.index[wrong],
    label=examples.label[wrong],
    predicted=examples.predicted[wrong],
    confidence=examples.confidence[wrong],
  )
