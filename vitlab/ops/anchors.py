"""Anchors: the boxes from which a detector's answers are deltas. NumPy constants of the program."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

Number = int | float


def cell_anchors(
  sizes: Sequence[Number], ratios: Sequence[Number]
) -> Float[np.ndarray, 'anchors 4']:
  """Boxes around (0, 0) in whole pixels, rounded (halves to even) as torchvision does.

  Args:
    sizes: Square roots of the areas.
    ratios: Heights over widths; the first one with every size comes first.
  """
  height = np.sqrt(np.asarray(ratios, np.float32))
  width = 1 / height
  extent = np.stack([width, height], axis=-1)[:, None] * np.asarray(sizes, np.float32)[:, None]
  half = extent.reshape(-1, 2) / 2
  return np.round(np.concatenate([-half, half], axis=-1))


def grid(
  height: int, width: int, stride: Number | tuple[Number, Number], anchors: Float[np.ndarray, 'k 4']
) -> Float[np.ndarray, 'a 4']:
  """The anchors at the upper left corner of every cell, row by row, all of a cell together.

  Args:
    height: Rows of the map.
    width: Columns of the map.
    stride: Pixels from one cell to the next, or from row to row and from column to column.
    anchors: Those of a cell at (0, 0).
  """
  down, right = np.broadcast_to(stride, 2)
  y, x = np.meshgrid(np.arange(height) * down, np.arange(width) * right, indexing='ij')
  corner = np.stack([x, y, x, y], axis=-1).reshape(-1, 1, 4)
  return (corner + anchors).reshape(-1, 4).astype(np.float32)


def centres(height: int, width: int, stride: Number) -> Float[np.ndarray, 'a 2']:
  """The centres of all cells, x and y in pixels, row by row."""
  y, x = np.meshgrid(np.arange(height), np.arange(width), indexing='ij')
  return ((np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) * stride).astype(np.float32)
