"""How parameters lie in other people's files: transposed, flattened, several in one table."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vitlab.errors import UserError
from vitlab.ops.positions import Grid, resample

Shape = tuple[int, ...]


class Layout(NamedTuple):
  """How a parameter lies in their files.

  Attributes:
    theirs: Our shape -> their shape; None in it stands for any length.
    to_ours: (their array, our shape) -> our array. May raise UserError.
    to_theirs: Our array -> their array; undoes `to_ours` bit for bit where nothing is resampled.
    share: Where several parameters of ours lie in one tensor of theirs: (the axis of theirs that
      they lie along, which of them this is). `to_ours` takes its share out.
  """

  theirs: Callable[[Shape], tuple[int | None, ...]]
  to_ours: Callable[[np.ndarray, Shape], np.ndarray]
  to_theirs: Callable[[np.ndarray], np.ndarray]
  share: tuple[int, int] | None = None


def reshaped(theirs: Callable[[Shape], Shape]) -> Layout:
  """The same numbers in the same order in another shape, given from ours."""
  return Layout(
    theirs,
    to_ours=lambda array, shape: array.reshape(shape),
    to_theirs=lambda array: array.reshape(theirs(array.shape)),
  )


def linear(contracted: int = 1) -> Layout:
  """A kernel whose first `contracted` axes are summed over <-> torch's weight [out, in]."""
  return Layout(
    theirs=lambda shape: (math.prod(shape[contracted:]), math.prod(shape[:contracted])),
    to_ours=lambda array, shape: array.T.reshape(shape),
    to_theirs=lambda array: array.reshape(math.prod(array.shape[:contracted]), -1).T,
  )


same = reshaped(lambda shape: shape)
flat = reshaped(lambda shape: (math.prod(shape),))  # [3, n, k] <-> [3·n·k]
batched = reshaped(lambda shape: (1, *shape))  # [1, d] <-> [1, 1, d]
conv = Layout(  # [y, x, i, o] <-> [o, i, y, x]
  theirs=lambda shape: (shape[3], shape[2], shape[0], shape[1]),
  to_ours=lambda array, shape: array.transpose(2, 3, 1, 0),
  to_theirs=lambda array: array.transpose(3, 2, 0, 1),
)
pointwise = Layout(  # [i, o] <-> [o, i, 1, 1], a convolution that sees one pixel
  theirs=lambda shape: (shape[1], shape[0], 1, 1),
  to_ours=lambda array, shape: array[:, :, 0, 0].T,
  to_theirs=lambda array: array.T[:, :, None, None],
)

flat_map = Layout(  # [y, x, i, o] <-> [o, i·y·x]: of a map that torch has flattened
  theirs=lambda shape: (shape[3], math.prod(shape[:3])),
  to_ours=lambda array, s: array.reshape(s[3], s[2], s[0], s[1]).transpose(2, 3, 1, 0),
  to_theirs=lambda array: array.transpose(3, 2, 0, 1).reshape(array.shape[3], -1),
)


def half(layout: Layout, which: int) -> Layout:
  """The first (0) or second (1) half, along the first axis, of a tensor in this layout."""
  return portion(layout, (1, 1), which)


def portion(layout: Layout, sizes: tuple[int, ...], which: int) -> Layout:
  """One of the parts, of these relative sizes, along the first axis of a tensor in this layout."""
  ends = [sum(sizes[:i]) for i in range(1, len(sizes))]

  def whole(shape):
    first, *others = layout.theirs(shape)
    return (first * sum(sizes) // sizes[which], *others)

  def to_ours(array, shape):
    cuts = [len(array) * end // sum(sizes) for end in ends]
    return layout.to_ours(np.split(array, cuts)[which], shape)

  return Layout(whole, to_ours, layout.to_theirs, share=(0, which))


def after_zeros(layout: Layout) -> Layout:
  """A table in this layout below a row for the class token, which is zero."""
  return layout._replace(
    to_theirs=lambda array: np.pad(layout.to_theirs(array), ((0, 0), (1, 0), (0, 0))), share=None
  )


def first_positions() -> Layout:
  """The positions of the tokens before the patches, [p, d], in a table [1, p + patches, d]."""
  return Layout(
    theirs=lambda shape: (1, None, shape[-1]),
    to_ours=lambda array, shape: array[0, : shape[0]],
    to_theirs=lambda array: array[None],
    share=(1, 0),
  )


def grid_positions(
  num_prefix: int = 0,
  grid: Grid | None = None,
  method: Callable[[np.ndarray, Grid], np.ndarray] = resample,
) -> Layout:
  """The positions of the patches, [h, w, d], in a table [1, num_prefix + patches, d].

  They are resampled to our grid, as timm does or by another `method`. `grid` is the one they were
  learned on; None: a square, or ours.
  """

  def to_ours(array, shape):
    patches = array[0, num_prefix:]
    learned = grid or _grid(len(patches), shape[:2])
    if math.prod(learned) != len(patches):
      raise UserError(f'{len(patches)} positions do not lie on a grid of {learned[0]}×{learned[1]}')
    patches = patches.reshape(*learned, -1)
    if tuple(learned) == tuple(shape[:2]):
      return patches  # untouched: JAX would round float64
    return np.asarray(method(patches, tuple(shape[:2])))

  return Layout(
    theirs=lambda shape: (1, None, shape[-1]),
    to_ours=to_ours,
    to_theirs=lambda array: array.reshape(1, -1, array.shape[-1]),
    share=(1, 1),
  )


def _grid(num_patches: int, ours: Grid) -> Grid:
  """The grid that so many patches come from: a square, or ours."""
  side = math.isqrt(num_patches)
  square, same_count = side**2 == num_patches, math.prod(ours) == num_patches
  if square and (not same_count or ours[0] == ours[1]):
    return side, side
  if same_count and not square:
    return tuple(ours)
  raise UserError(
    f'the positions were learned on {num_patches} patches, the model has {ours[0]}×{ours[1]}'
    f'\nsay the pixels (height, width) that they were trained on: image_size=(..., ...), or in a '
    'config.json beside them {"model_args": {"img_size": [..., ...]}}'
  )
