"""Relative position biases (Swin, arXiv:2103.14030): what a head adds for each offset."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from vitlab import names
from vitlab.layers.stack import unstack_blocks
from vitlab.layers.window_attention import ContinuousPositionBias
from vitlab.ops.windows import relative_position_index
from vitlab.predict.trained import Trained

NAME = 'position_bias'

Table = Float[np.ndarray, 'n rows columns']
Path = tuple[str, ...]


def tables(trained: Trained, windows: Sequence[int]) -> dict[str, Table]:
  """The biases of a model, block by block; none where it has none.

  Args:
    trained: The model.
    windows: Side of the windows of every attention block, 0 where it has none.

  Returns:
    'layer 3' -> what each head adds to the logit of a query that lies so many rows below and
    columns to the right of the key, from (1 - window, 1 - window) on.
  """
  params = unstack_blocks(trained.variables['model']['params'])
  found = sorted(_biases(params), key=lambda pair: _block(pair[0]))
  layers = [(i + 1, window) for i, window in enumerate(windows) if window]
  pretrained = trained.config.model.get('pretrained_window_sizes') if trained.config else None
  return {
    f'layer {layer}': _table(path, part, window, pretrained)
    for (layer, window), (path, part) in zip(layers, found)
  }


def _biases(params: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Mapping[str, Any]]]:
  for name, part in params.items():
    if name == NAME:
      yield path, part
    elif isinstance(part, Mapping):
      yield from _biases(part, (*path, name))


def _block(path: Path) -> names.Block:
  """The block that a bias is in."""
  return names.block('/'.join(path)) or names.Block('', 0, 0)


def _table(
  path: Path, part: Mapping[str, Any], window: int, pretrained: Sequence[int] | None
) -> Table:
  if 'table' in part:  # version 1
    return np.moveaxis(np.asarray(part['table']), -1, 0)
  heads = part['down']['kernel'].shape[-1]
  learned = pretrained[_block(path).stage] if pretrained else 0
  layer = ContinuousPositionBias(heads, part['up']['kernel'].shape[-1], learned)
  by_pair = np.asarray(layer.apply({'params': part}, window))
  table = np.zeros((heads, (2 * window - 1) ** 2), by_pair.dtype)
  table[:, relative_position_index(window)] = by_pair
  return table.reshape(heads, 2 * window - 1, 2 * window - 1)
