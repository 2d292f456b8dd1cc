"""The few shapes that pictures of any size are padded to: their aspect kept, their pixels at the
upper left. So few that a program is compiled for each.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Int, UInt8

Size: TypeAlias = tuple[int, int]  # (height, width)


def shapes(image_size: Size) -> tuple[Size, ...]:
  """All padded shapes of batches, by area: of wide pictures, of tall ones, and of both together.

  Args:
    image_size: (short, long), the sides of the shape of one picture; equal ones are one shape.
  """
  short, long = image_size
  return ((short, long), (long, short), (long, long)) if short < long else ((short, long),)


def needed(image_size: Size, sizes: Int[np.ndarray, 'b 2']) -> tuple[Size, ...]:
  """The padded shapes that batches of these pictures can have: one where all are wide, or tall."""
  possible = shapes(image_size)
  tall = (sizes > possible[0]).any(axis=1)
  if tall.all():
    return possible[1:2]
  return possible if tall.any() else possible[:1]


def canvas(size: Size, image_size: Size) -> Size:
  """The padded shape of one picture: as it is wide or tall; square ones count as wide."""
  short, long = image_size
  return (long, short) if size[0] > size[1] else (short, long)


def placed(size: Size, image_size: Size) -> Size:
  """The size of a picture scaled to fit its padded shape."""
  frame = canvas(size, image_size)
  scale = min(whole / side for whole, side in zip(frame, size))
  return tuple(min(whole, max(1, round(scale * side))) for whole, side in zip(frame, size))


def covering(possible: Sequence[Size], sizes: Int[np.ndarray, 'b 2']) -> Size:
  """The smallest shape in which every one of the pictures has room."""
  needed = sizes.max(axis=0)
  return next(shape for shape in possible if (needed <= shape).all())


def pad(image: UInt8[np.ndarray, 'h w c'], shape: Size) -> UInt8[np.ndarray, 'height width c']:
  """A picture with zeros below and to the right of it."""
  below, right = (whole - side for whole, side in zip(shape, image.shape))
  return np.pad(image, [(0, below), (0, right), (0, 0)])
