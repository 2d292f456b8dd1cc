"""The worst mistakes of a classifier, and the split that they are in."""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from vitlab import registry, workdir
from vitlab.data import Source, identity, splits
from vitlab.errors import UserError


class Mistake(NamedTuple):
  """An example that a classifier got wrong.

  Attributes:
    index: Its place in the split.
    truth: Its class.
    said: The class that the model gave it, -1 where a logit is NaN.
    confidence: The probability that the model gave to `said`.
  """

  index: int
  truth: int
  said: int
  confidence: float


def stored(
  folder: pathlib.Path, config: ConfigDict, facts: Mapping[str, Any]
) -> tuple[Source, list[Mistake]]:
  """The mistakes of the first evaluator that keeps them, the surest first, and their split.

  Args:
    folder: Of the run.
    config: Of the run.
    facts: Those of its data.

  Raises:
    UserError: as `evaluated`.
  """
  source, details = evaluated(folder, config, facts, 'mistakes_index', 'a classification')
  columns = ('mistakes_index', 'mistakes_label', 'mistakes_predicted', 'mistakes_confidence')
  rows = zip(*(details[column].tolist() for column in columns))
  return source, [Mistake(*row) for row in rows]


def evaluated(
  folder: pathlib.Path, config: ConfigDict, facts: Mapping[str, Any], column: str, kind: str
) -> tuple[Source, Mapping[str, np.ndarray]]:
  """The details of the first evaluator that keeps a column, and the split that it read.

  Args:
    folder: Of the run.
    config: Of the run.
    facts: Those of its data.
    column: Name of an array.
    kind: What has it, for the message where there is none.

  Raises:
    UserError: nothing was evaluated yet; the data cannot be read here, or have changed.
  """
  details, split = _of_evaluator(folder, config, column, kind)
  dataset = registry.make('data.sets', config.data.to_dict())
  identity.check_same(facts, dataset, str(folder))
  return splits.select(dataset, split), details


def _of_evaluator(
  folder: pathlib.Path, config: ConfigDict, column: str, kind: str
) -> tuple[Mapping[str, np.ndarray], str]:
  for name, spec in config.evaluators.items():
    details = workdir.read_details(folder, name)
    if column in details:
      words = {**registry.keywords('evaluators', spec['name']), **spec}
      return details, words['split']
  raise UserError(f'workdir {str(folder)!r} has no details of {kind} yet: --mode=eval')
