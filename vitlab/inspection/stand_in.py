"""What has the shapes of a data set that is not on this machine: all that planning a run needs."""

import itertools
import logging
from collections.abc import Mapping

import numpy as np
from ml_collections import ConfigDict

from vitlab import registry, tasks
from vitlab.data import Dataset, Example, splits
from vitlab.errors import UserError
from vitlab.evaluators import splits_of

NUM_EXAMPLES = 1_000_000
_SPLITS = ('train', 'validation', 'val', 'test')
_log = logging.getLogger(__name__)


class Zeros:
  """A split of equal examples, all zero.

  Args:
    example: One.
    buckets: If examples of its kind differ in length: the lengths of their batches.
  """

  def __init__(self, example: Example, buckets: tuple[int, ...] = ()):
    self._example = example
    if buckets:
      self.buckets, self.lengths = buckets, np.full(NUM_EXAMPLES, buckets[-1])

  def __len__(self) -> int:
    return NUM_EXAMPLES

  def __getitem__(self, index: int) -> Example:
    return self._example


def dataset(config: ConfigDict) -> Dataset:
  """The data set of a config, or if it cannot be had a stand-in with a warning.

  Raises:
    UserError: why it cannot be had, if the config does not say the shapes itself; see `assumed` of
      its task.
  """
  spec = config.data.to_dict()
  try:
    return registry.make('data.sets', spec)
  except UserError as missing:
    task = registry.module('tasks', tasks.kind(config.task))
    known = task.assumed(spec, config.model.to_dict())
    if known is None:
      raise
    reason = str(missing).partition('\n')[0]
    _log.warning('%s: %s examples of zeros stand in for it', reason, f'{NUM_EXAMPLES:,}')
  split = Zeros(known.example, tuple(known.buckets))
  return Dataset(dict.fromkeys((*_SPLITS, *_named(config)), split), known.facts)


def _named(config: ConfigDict) -> list[str]:
  """The splits that a config trains on and that its evaluators read."""
  specs = config.evaluators.to_dict().values()
  known = [spec for spec in specs if isinstance(spec, Mapping) and 'name' in spec]
  read = [config.train_split, *itertools.chain(*map(splits_of, known))]
  return [name for text in read if isinstance(text, str) for name in splits.named(text)]
