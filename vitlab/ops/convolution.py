"""Convolution of maps, whose gradients are fast on a CPU, too.

The gradients of a convolution are convolutions themselves, and jax writes them with their axes in
the order in which they come. XLA:CPU is fast in one order alone, b h w i with y x i o. It brings
the others into that one, but not inside a loop, where they take sixty times as long
(findings/convolution_gradient_in_a_loop.sh). And the gradient of a kernel, for which the batch is
what channels are elsewhere, gets slower with every row: 128 of them take two to four times as long
as 16 times eight. So on a CPU the gradients are written here, in that order, some rows at a time.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vitlab.ops.precision import wide

ROWS = 8  # of a batch that the gradient of a kernel takes at a time
AXES = ('NHWC', 'HWIO', 'NHWC')

Pads = Sequence[tuple[int, int]]


class Geometry(NamedTuple):
  """Of a convolution, but for batch and channels; pairs are of height and width.

  Attributes:
    sides: Of the map that goes in.
    size: Of the kernel, in pixels.
    stride: In pixels, both ways.
    pads: Zeros before and after the map.
    dilation: Distance of two neighbours in the kernel, in pixels, both ways.
  """

  sides: tuple[int, int]
  size: tuple[int, int]
  stride: int
  pads: Pads
  dilation: int

  @property
  def reach(self) -> list[int]:
    """Pixels from the first to the last that a kernel sees, both counted."""
    return [(side - 1) * self.dilation + 1 for side in self.size]

  @property
  def spread(self) -> list[int]:
    """Pixels from the first to the last on which a kernel is put, both counted."""
    free = [n + sum(pads) - reach for n, pads, reach in zip(self.sides, self.pads, self.reach)]
    return [n // self.stride * self.stride + 1 for n in free]


def convolution(
  x: Float[Array, 'b h w i'],
  kernel: Float[Array, 'y x j o'],
  stride: int = 1,
  pads: Pads = ((0, 0), (0, 0)),
  dilation: int = 1,
  groups: int = 1,
) -> Float[Array, 'b rows columns o']:
  """What a kernel sees of a map, everywhere.

  On a CPU it rules out forward-mode differentiation (`jax.jvp`); `jax.grad` of any order works.

  Args:
    x: Maps.
    kernel: As wide as the channels of a group.
    stride: From one place of the kernel to the next, in pixels.
    pads: Zeros before and after height and width.
    dilation: Distance of two neighbours in the kernel, in pixels.
    groups: Of channels that do not see each other.
  """
  if jax.default_backend() == 'cpu' and groups == 1:
    sides, size = x.shape[1:3], kernel.shape[:2]
    return _convolved(x, kernel, Geometry(sides, size, stride, tuple(pads), dilation))
  return _lax(x, kernel, pads, stride, dilation=dilation, groups=groups)


# ⟨convolution of x with k, y⟩ is linear in all three: the gradients of each of these functions are
# the other two.


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolved(x, kernel, how):
  return _lax(x, kernel, how.pads, how.stride, dilation=how.dilation)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _of_map(kernel, dy, how):
  """The gradient of x: every place gets back what it gave, through the kernel turned around."""
  pads = []
  for n, (before, _), reach, spread in zip(how.sides, how.pads, how.reach, how.spread):
    before = reach - 1 - before
    pads.append((before, n + reach - 1 - spread - before))
  kernel = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
  return _lax(dy, kernel, pads, spread=how.stride, dilation=how.dilation)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _of_kernel(x, dy, how):
  """The gradient of the kernel: x, its rows as channels, seen through dy as a kernel."""
  pads = []
  for n, (before, _), reach, spread in zip(how.sides, how.pads, how.reach, how.spread):
    pads.append((before, spread + reach - 1 - n - before))

  def some(x, dy):
    x, dy = x.transpose(3, 1, 2, 0), dy.transpose(1, 2, 0, 3)
    return _lax(x, dy, pads, how.dilation, dilation=how.stride).transpose(1, 2, 0, 3)

  whole = len(x) - len(x) % ROWS
  if whole < 2 * ROWS or jax.sharding.get_abstract_mesh().size > 1:
    return some(x, dy)
  groups = tuple(a[:whole].reshape(-1, ROWS, *a.shape[1:]) for a in (x, dy))
  start = jnp.zeros((*how.size, x.shape[-1], dy.shape[-1]), x.dtype)
  if whole < len(x):
    start = some(x[whole:], dy[whole:])
  add = lambda total, group: (total + some(*group), None)  # noqa: E731
  return jax.lax.scan(add, wide(start), groups)[0].astype(x.dtype)


def _lax(x, kernel, pads, stride=1, spread=1, dilation=1, groups=1):
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    pads,
    lhs_dilation=(spread, spread),
    rhs_dilation=(dilation, dilation),
    dimension_numbers=AXES,
    feature_group_count=groups,
  )


_convolved.defvjp(
  lambda x, kernel, how: (_convolved(x, kernel, how), (x, kernel)),
  lambda how, kept, dy: (_of_map(kept[1], dy, how), _of_kernel(kept[0], dy, how)),
)
_of_map.defvjp(
  lambda kernel, dy, how: (_of_map(kernel, dy, how), (kernel, dy)),
  lambda how, kept, dx: (_of_kernel(dx, kept[1], how), _convolved(dx, kept[0], how)),
)
_of_kernel.defvjp(
  lambda x, dy, how: (_of_kernel(x, dy, how), (x, dy)),
  lambda how, kept, dk: (_of_map(dk, kept[1], how), _convolved(kept[0], dk, how)),
)
