"""What a segment of a text leaves to the next one: the inputs that its blocks had.

Transformer-XL (arXiv:1901.02860, section 3.2). A memory has a fixed number of places, of which the
last ones are written, so that shapes stay the same while a text begins. It is a Flax collection of
`vitlab.tasks.BY_ROW`; zeros are an empty one.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

COLLECTION = 'memory'  # of a model, one of `vitlab.tasks.BY_ROW`


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


def kept(model: nn.Module, kind: type[tuple] = Memory) -> Any:
  """The memory of the step before, in the collection of a model; None where there is none.

  Args:
    model: Whose.
    kind: What it is, a NamedTuple of arrays.
  """
  if not model.has_variable(COLLECTION, kind._fields[0]):
    return None
  return kind(*(model.get_variable(COLLECTION, name) for name in kind._fields))


def keep(model: nn.Module, memory: Any) -> None:
  """Leaves a memory in the collection of a model, for its next step."""
  for name, array in memory._asdict().items():
    model.put_variable(COLLECTION, name, array)


def read_in_segments(
  read: Callable[[Array, Memory], tuple[tuple[Array, dict[str, Any]], Memory]],
  tokens: Int[Array, 'b t'],
  segment: int,
  memory: Memory,
) -> tuple[Float[Array, 'b t vocab'], dict[str, Any]]:
  """What a model says of rows that are longer than a segment, the last of which is filled up.

  Args:
    read: (tokens of a segment, memory) -> what a model gives, logits and a dict, and the memory
      behind it.
    tokens: The rows.
    segment: Tokens that are read at once.
    memory: Before the first of them.

  Returns:
    Logits, and 'logits', 'features' and 'attention' of whole rows.
  """
  t, m = tokens.shape[1], memory.inputs.shape[2]
  count = -(-t // segment)
  rows = jnp.pad(tokens, ((0, 0), (0, count * segment - t)))
  rows = jnp.einsum('bis->ibs', rows.reshape(-1, count, segment))

  def one(memory, inputs):
    number, tokens = inputs
    (logits, out), memory = read(tokens, memory)

    def place(weights):  # of the memory and the segment, among all tokens
      wide = jnp.zeros((*weights.shape[:3], m + count * segment), weights.dtype)
      wide = jax.lax.dynamic_update_slice_in_dim(wide, weights, number * segment, axis=3)
      return jnp.einsum('bnts->btns', wide[..., m : m + t])

    return memory, (logits, out['features'], [place(weights) for weights in out['attention']])

  _, found = jax.lax.scan(one, memory, (jnp.arange(count), rows))
  whole = lambda x: jnp.moveaxis(x, 0, 1).reshape(x.shape[1], -1, *x.shape[3:])[:, :t]  # noqa: E731
  logits, features, attention = jax.tree.map(whole, found)
  attention = [jnp.einsum('btns->bnts', weights) for weights in attention]
  return logits, dict(logits=logits, features=features, attention=attention)
