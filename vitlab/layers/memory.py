"""What a segment of a text leaves to the next one: the inputs that its blocks had.

Transformer-XL (arXiv:1901.02860, section 3.2). A memory has a fixed number of places, of which the
last ones are written, so that shapes stay the same while a text begins. It is a Flax collection of
`vitlab.tasks.BY_ROW`; zeros are an empty one.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class Memory(NamedTuple):
  """The newest inputs of every block of a stack.

  Attributes:
    inputs: Of all blocks, the newest last; no gradient reaches them.
    length: How many of the m places of each row are written.
  """

  inputs: Float[Array, 'b blocks m d']
  length: Int[Array, ' b']

  def take(self, rows: Int[Array, ' rows']) -> 'Memory':
    """Of some of the rows."""
    return Memory(self.inputs[rows], self.length[rows])

  def written(self, tokens: int) -> Bool[Array, 'b 1 1 s']:
    """A mask of the keys of a segment: the places that are written, then all of its tokens."""
    m = self.inputs.shape[2]
    return (jnp.arange(m + tokens) >= m - self.length[:, None])[:, None, None]

  def then(self, inputs: Sequence[Float[Array, 'b t d']]) -> 'Memory':
    """The memory behind a segment in which the blocks had these inputs."""
    m, t = self.inputs.shape[2], inputs[0].shape[1]
    new = jax.lax.stop_gradient(jnp.stack(inputs, axis=1)).astype(self.inputs.dtype)
    newest = jnp.concatenate([self.inputs, new], axis=2)[:, :, t:]
    return Memory(newest, jnp.minimum(self.length + t, m))


def empty(batch_size: int, blocks: int, places: int, width: int, dtype: Any) -> Memory:
  """A memory of a text that has not begun."""
  inputs = jnp.zeros((batch_size, blocks, places, width), dtype)
  return Memory(inputs, jnp.zeros(batch_size, jnp.int32))
