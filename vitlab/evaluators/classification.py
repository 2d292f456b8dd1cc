"""Accuracy, cross-entropy, calibration, confusion and the worst mistakes of a classifier."""

from collections.abc import Callable, Sequence

from vitlab.evaluators import Predictions, Result
from vitlab.evaluators._classified import check, scored
from vitlab.evaluators._raw_pixels import baselines

__all__ = ['LEADS', 'baselines', 'make']

LEADS = 'accuracy'


def make(
  split: str = 'test', top_k: Sequence[int] = (1, 5), bins: int = 15
) -> Callable[[Predictions], Result]:
  """Reads the task's `logits`.

  Metrics: accuracy, top<k>_accuracy (of the k smaller than the number of classes), loss (the
  cross-entropy of the softmax), ece (expected calibration error, Guo et al. 2017,
  arXiv:1706.04599), mean_class_accuracy. A logit that is NaN counts as wrong and makes loss and
  ece NaN.

  Details, with examples by their index in the split:
    confusion: [classes, classes] int32, label by prediction (up to 4096 classes).
    class_accuracy, class_count: [classes]; the accuracy of a class without examples is NaN.
    calibration_confidence, calibration_accuracy, calibration_count: [bins] means (NaN where
      empty) and counts, over bins of equal width.
    mistakes_index, mistakes_label, mistakes_predicted, mistakes_confidence: at most 64, the surest
      first.

  Raises:
    UserError: bins or a k is not positive, or the split is empty.
  """
  check('classification', top_k, bins)
  return lambda predictions: scored(predictions, split, top_k, bins)
