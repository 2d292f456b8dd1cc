"""The largest value of each window of a map, with a gradient that is fast on a CPU, too."""

from collections.abc import Iterator, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

Pads = Sequence[tuple[int, int]]


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def max_pool(
  x: Float[Array, 'b h w c'], size: int, stride: int, pads: Pads
) -> Float[Array, 'b y x c']:
  """The largest value in each window, padding excepted.

  A maximum of shifted maps. Of equal largest values the first gets the gradient, as in torch. XLA's
  own windows take three times as long to differentiate on a CPU, a chain of `jnp.maximum` five.

  Args:
    x: Maps.
    size: Of a window, in pixels.
    stride: From one window to the next, in pixels.
    pads: Pixels of padding before and after height and width.
  """
  return _largest(x, size, stride, pads)[0]


def _largest(
  x: Float[Array, 'b h w c'], size: int, stride: int, pads: Pads
) -> tuple[Float[Array, 'b y x c'], Int[Array, 'b y x c']]:
  """The values, and the number of the place in the window where each was found."""
  padded = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=-jnp.inf)
  rows, columns = _spread(x.shape[1:3], size, stride, pads)
  largest = place = None
  for number, (i, j) in _places(size):
    seen = padded[:, i : i + rows : stride, j : j + columns : stride]
    if largest is None:
      largest, place = seen, jnp.zeros(seen.shape, _number(size))
    else:
      place = jnp.where(seen > largest, place.dtype.type(number), place)
      largest = jnp.maximum(largest, seen)
  return largest, place


def _forward(x, size, stride, pads):
  # The place, and not x and the values: XLA may compute x once more for the gradient, with another
  # last digit, and then none would be the largest.
  largest, place = _largest(x, size, stride, pads)
  return largest, (place, jnp.zeros((0, *x.shape[1:3]), x.dtype))


def _backward(size, stride, pads, kept, dy):
  """Every pixel asks the windows in which it lies whether it is their largest."""
  place, like = kept
  sides = like.shape[1:]
  height, width = (n + sum(pad) for n, pad in zip(sides, pads))
  rows, columns = _spread(sides, size, stride, pads)

  def back(array, fill, i, j):
    """What belongs to windows at the pixels that have place i, j in them."""
    edges = (0, 0, 0), (i, height - i - rows, stride - 1), (j, width - j - columns, stride - 1)
    return jax.lax.pad(array, np.asarray(fill, array.dtype), (*edges, (0, 0, 0)))

  total = sum(
    jnp.where(back(place, -1, i, j) == number, back(dy, 0, i, j), 0)
    for number, (i, j) in _places(size)
  )
  (above, _), (left, _) = pads
  return (total[:, above : above + sides[0], left : left + sides[1]],)


max_pool.defvjp(_forward, _backward)


def _number(size: int) -> np.dtype:
  """The smallest integers that count the places of a window."""
  return np.dtype(np.int8 if size**2 <= np.iinfo(np.int8).max else np.int32)


def _spread(sides: Sequence[int], size: int, stride: int, pads: Pads) -> list[int]:
  """Pixels from the first to the last window's first, both counted, of height and width."""
  return [(n + sum(pad) - size) // stride * stride + 1 for n, pad in zip(sides, pads)]


def _places(size: int) -> Iterator[tuple[int, tuple[int, int]]]:
  return enumerate((i, j) for i in range(size) for j in range(size))
