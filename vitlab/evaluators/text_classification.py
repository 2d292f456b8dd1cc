"""How well texts are classified: as images are, and by F1 and Matthews' correlation."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int
from sklearn.metrics import f1_score, matthews_corrcoef

from vitlab.evaluators import Predictions, Result
from vitlab.evaluators._classified import check, scored

LEADS = 'accuracy'


def make(
  split: str = 'test', top_k: Sequence[int] = (1,), bins: int = 15
) -> Callable[[Predictions], Result]:
  """Reads the task's `logits`.

  Metrics and details are those of `vitlab.evaluators.classification`, and of up to 4096 classes

    f1        the mean over classes of the harmonic mean of precision and recall (macro F1)
    matthews  the correlation of classes and predictions, which is 0 for a constant (CoLA's score)

  A logit that is NaN counts as wrong in both.

  Raises:
    UserError: bins or a k is not positive, or the split is empty.
  """
  check('text_classification', top_k, bins)

  def evaluate(predictions: Predictions) -> Result:
    found = scored(predictions, split, top_k, bins)
    if 'confusion' not in found.details:
      return found
    more = agreement(found.details['confusion'], found.details['class_count'])
    return Result({**found.metrics, **more}, found.details)

  return evaluate


def agreement(
  confusion: Int[np.ndarray, 'classes classes'], count: Int[np.ndarray, ' classes']
) -> dict[str, float]:
  """Macro F1 and Matthews' correlation.

  Args:
    confusion: Examples by label and prediction; those without a prediction are missing.
    count: Examples of each label.
  """
  unsaid = count - confusion.sum(axis=1)
  cells = np.column_stack([confusion, unsaid])
  label, predicted = np.nonzero(cells)
  weight = cells[label, predicted]
  known = [i for i in np.union1d(label, predicted) if i < len(count)]
  f1 = f1_score(
    label, predicted, labels=known, average='macro', sample_weight=weight, zero_division=0.0
  )
  matthews = matthews_corrcoef(label, predicted, sample_weight=weight)
  return dict(f1=float(f1), matthews=float(matthews))
