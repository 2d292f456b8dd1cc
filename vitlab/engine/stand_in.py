"""Black pictures in place of a data set that is not on this machine: shapes are all one needs."""

import logging

import numpy as np
from ml_collections import ConfigDict

from vitlab import registry
from vitlab.data import Dataset
from vitlab.errors import UserError

NUM_EXAMPLES = 1_000_000
_SPLITS = ('train', 'validation', 'val', 'test')
_log = logging.getLogger(__name__)


class Black:
  """A split of black pictures."""

  def __init__(self, shape: tuple[int, int, int]):
    self._shape = shape

  def __len__(self) -> int:
    return NUM_EXAMPLES

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    return {'image': np.zeros(self._shape, np.uint8), 'label': np.int32(0)}


def dataset(config: ConfigDict) -> Dataset:
  """The data set of a config, or if it cannot be had a stand-in with a warning.

  Raises:
    UserError: why it cannot be had, if the config does not say the shapes itself: image_size in
      `data` and num_classes in `model`.
  """
  spec = config.data.to_dict()
  try:
    return registry.make('data', spec)
  except UserError as missing:
    size, num_classes = spec.get('image_size'), config.model.get('num_classes')
    if not size or not num_classes:
      raise
    reason = str(missing).partition('\n')[0]
    _log.warning('%s: %s black pictures stand in for it', reason, f'{NUM_EXAMPLES:,}')
  height, width = (size, size) if isinstance(size, int) else size
  source = Black((height, width, spec.get('channels', 3)))
  return Dataset(dict.fromkeys(_SPLITS, source), {'num_classes': num_classes})
