"""Numbers from predictions over a split.

`vitlab/evaluators/<name>.py` holds `make(**spec) -> evaluate`. `evaluate(predictions) -> Result` is
plain NumPy: the engine has run the task's predict functions over the split, on whatever devices
there are, gathered the rows in the order of the split and dropped the padding, so no evaluator can
count it; `batch['index']` says which example of the split a row is. Where the split has them,
`batch['text']` is a list of the lines of the rows, key -> line, and `batch['truth']` one of their
annotations (`vitlab.data.Source`). `LEADS` in the file names the metric that a sweep is decided by
where its config does not say. `baselines(train, test)` in it, which few have, is what guesses that
take no training reach in that metric on these splits, by their names in `vitlab.baselines`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from vitlab import registry
from vitlab.errors import UserError

# predictions(name of a predict function, split) yields (outputs, batch) in NumPy, without padding.
Predictions = Callable[[str, str], Iterator[tuple[Any, Mapping[str, Any]]]]


class Absent(UserError):
  """The task has no predict function of this name: what some evaluators can do without."""


class Result(NamedTuple):
  """What an evaluator found.

  Attributes:
    metrics: Numbers for the log, named in the field's words (accuracy, top5_accuracy, loss, ...).
    details: Arrays for the report (confusion matrix, calibration bins, the worst mistakes, ...).
  """

  metrics: Mapping[str, float]
  details: Mapping[str, Any]


def splits_of(spec: Mapping[str, Any]) -> list[str]:
  """The splits an evaluator reads: its arguments that end in `split`, or their defaults."""
  defaults = registry.keywords('evaluators', spec['name']).items()
  return [spec.get(name, default) for name, default in defaults if name.endswith('split')]


def split_of(spec: Mapping[str, Any]) -> str | None:
  """The split that an evaluator measures, if it is one: its argument `split`, or the default."""
  return {**registry.keywords('evaluators', spec['name']), **spec}.get('split')


def features_of(predictions: Predictions, split: str, dtype: type) -> tuple[np.ndarray, np.ndarray]:
  """The features and labels of all examples of a split.

  Raises:
    UserError: it has none.
  """
  rows = [(np.asarray(x, dtype), batch['label']) for x, batch in predictions('features', split)]
  if not rows:
    raise UserError(f'the split {split!r} has no examples to evaluate: choose another split')
  found, label = map(np.concatenate, zip(*rows))
  return found, label
