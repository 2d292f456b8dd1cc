"""The largest value of each window of a map, with a gradient that is fast on a CPU, too."""

from collections.abc import Iterator, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Pads = Sequence[tuple[int, int]]


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def max_pool(
  x: Float[Array, 'b h w c'], size: int, stride: int, pads: Pads
) -> Float[Array, 'b y x c']:
  """The largest value in each window, padding excepted.

  A maximum of shifted maps. Equal largest values share the gradient alike, of which torch gives all
  to the first. XLA's own windows take three times as long to differentiate on a CPU, a chain of
  `jnp.maximum` five times.

  Args:
    x: Maps.
    size: Of a window, in pixels.
    stride: From one window to the next, in pixels.
    pads: Pixels of padding before and after height and width.
  """
  padded = _padded(x, pads)
  rows, columns = _spread(padded, size, stride)
  largest = None
  for i, j in _places(size):
    seen = padded[:, i : i + rows : stride, j : j + columns : stride]
    largest = seen if largest is None else jnp.maximum(largest, seen)
  return largest


def _forward(x, size, stride, pads):
  y = max_pool(x, size, stride, pads)
  return y, (x, y)


def _backward(size, stride, pads, kept, dy):
  """Every pixel asks the windows in which it lies whether it is their largest."""
  x, y = kept
  padded = _padded(x, pads)
  height, width = padded.shape[1:3]
  rows, columns = _spread(padded, size, stride)
  seen = (padded[:, i : i + rows : stride, j : j + columns : stride] for i, j in _places(size))
  share = dy / sum((one == y).astype(dy.dtype) for one in seen)

  def back(array, fill, i, j):
    """What belongs to windows at the pixels that have place i, j in them."""
    sides = (0, 0, 0), (i, height - i - rows, stride - 1), (j, width - j - columns, stride - 1)
    return jax.lax.pad(array, jnp.asarray(fill, array.dtype), (*sides, (0, 0, 0)))

  total = sum(
    jnp.where(padded == back(y, jnp.nan, i, j), back(share, 0, i, j), 0) for i, j in _places(size)
  )
  (above, _), (left, _) = pads
  return (total[:, above : above + x.shape[1], left : left + x.shape[2]],)


max_pool.defvjp(_forward, _backward)


def _padded(x: Array, pads: Pads) -> Array:
  return jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=-jnp.inf)


def _spread(padded: Array, size: int, stride: int) -> list[int]:
  """Pixels from the first to the last window's first, both counted, of height and width."""
  return [(n - size) // stride * stride + 1 for n in padded.shape[1:3]]


def _places(size: int) -> Iterator[tuple[int, int]]:
  return ((i, j) for i in range(size) for j in range(size))
