"""What has the shapes of a data set that is not on this machine: all that planning a run needs."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from vitlab import registry
from vitlab.data import Dataset, Example
from vitlab.errors import UserError

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
    UserError: why it cannot be had, if the config does not say the shapes itself: of pictures
      image_size in `data` and num_classes in `model`, of text vocab_size and lengths in `data`.
  """
  spec = config.data.to_dict()
  try:
    return registry.make('data', spec)
  except UserError as missing:
    found = _text(spec) or _pictures(spec, config.model.get('num_classes'))
    if found is None:
      raise
    reason = str(missing).partition('\n')[0]
    _log.warning('%s: %s examples of zeros stand in for it', reason, f'{NUM_EXAMPLES:,}')
  split, facts = found
  return Dataset(dict.fromkeys((*_SPLITS, *_named(config)), split), facts)


def _text(spec: Mapping[str, Any]) -> tuple[Zeros, dict[str, Any]] | None:
  if not spec.get('vocab_size') or not spec.get('lengths'):
    return None
  buckets = tuple(spec['lengths'])
  row = np.zeros(buckets[-1], np.int32)
  return Zeros(dict(tokens=row, targets=row), buckets), dict(vocab_size=spec['vocab_size'])


def _pictures(
  spec: Mapping[str, Any], num_classes: int | None
) -> tuple[Zeros, dict[str, Any]] | None:
  size = spec.get('image_size')
  if not size or not num_classes:
    return None
  height, width = (size, size) if isinstance(size, int) else size
  image = np.zeros((height, width, spec.get('channels', 3)), np.uint8)
  return Zeros(dict(image=image, label=np.int32(0))), dict(num_classes=num_classes)


def _named(config: ConfigDict) -> list[str]:
  """The splits that the evaluators of a config name."""
  specs = config.evaluators.to_dict().values()
  return [spec['split'].partition('[')[0] for spec in specs if isinstance(spec.get('split'), str)]
