"""Reversible residual layers: memory that does not grow with depth.

Gomez et al. 2017, 'The Reversible Residual Network' (arXiv:1707.04585); in a Transformer Kitaev et
al. 2020 (arXiv:2001.04451), section 3. A layer adds attention of one half of its input to the other
half, and then a feed-forward layer of the result to the first:

    y1 = x1 + attention(x2)      x2 = y2 - feed_forward(y1)
    y2 = x2 + feed_forward(y1)   x1 = y1 - attention(x2)

The right side is how the backward pass gets back what the forward pass did not keep. It is exact
but for rounding, and rounding may move a vector into another bucket: of every layer its random key
and its buckets are kept, so that both passes compute the same function.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from vitlab.layers.choices import way
from vitlab.ops.precision import wide

Halves = tuple[Float[Array, 'b t d'], Float[Array, 'b t d']]
Given = dict[str, Array | None]
BACKWARD = ('reversible', 'remat', 'plain')


class Branches(NamedTuple):
  """What a layer adds, as pure functions.

  Attributes:
    attend: (parameters, given, x2, buckets or None) -> what is added to x1, and a dict of what was
      seen; its 'buckets', if there are any, are those to give the next time.
    feed: (parameters, given, y1) -> what is added to x2.
  """

  attend: Callable[..., tuple[Array, dict[str, Array]]]
  feed: Callable[..., Array]


def forward(
  layers: Sequence[Branches], params: Sequence[PyTree], given: Sequence[PyTree], x: Halves
) -> tuple[Halves, list[dict[str, Array]]]:
  """Both halves behind some layers, and what each of these has seen.

  Args:
    layers: One after the other.
    params: Of every layer.
    given: To every layer beside parameters: keys, whole numbers, what has no gradient.
    x: Both halves of the first input.
  """
  (x1, x2), seen = x, []
  for layer, p, g in zip(layers, params, given):
    y, out = layer.attend(p, g, x2, None)
    x1 = x1 + y
    x2 = x2 + layer.feed(p, g, x1)
    seen.append(out)
  return (x1, x2), seen


def backward(layers, params, given, buckets, y: Halves, dy: Halves) -> tuple[Halves, Halves, list]:
  """Undoes `forward`: the inputs of the layers, the gradients of these, and of parameters."""
  (y1, y2), (d1, d2), gradients = y, dy, []
  for layer, p, g, kept in reversed(list(zip(layers, params, given, buckets))):
    fed, pull = jax.vjp(lambda p, y1, layer=layer, g=g: layer.feed(p, g, y1), p, y1)
    dp_feed, dy1 = pull(d2)
    x2, d1 = y2 - fed, d1 + dy1

    attend = lambda p, x2, layer=layer, g=g, kept=kept: layer.attend(p, g, x2, kept)[0]  # noqa: E731
    attended, pull = jax.vjp(attend, p, x2)
    dp_attend, dx2 = pull(d1)
    x1, d2 = y1 - attended, d2 + dx2

    gradients.append(jax.tree.map(jnp.add, dp_feed, dp_attend))
    # Inputs are found without gradients: XLA is not to find, and keep, those of all layers first.
    y1, y2, d1, d2 = jax.lax.optimization_barrier((x1, x2, d1, d2))
  return (y1, y2), (d1, d2), gradients[::-1]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def reversible(
  layers: tuple[Branches, ...], params: PyTree, keys: PyTree, shared: Given, x: Halves
) -> Halves:
  """Both halves behind a loop over groups of layers, whose backward pass keeps only buckets.

  Args:
    layers: Of a group.
    params: Of every layer of a group, those of all groups stacked.
    keys: The same of random keys.
    shared: What else all layers are given.
    x: Both halves of the first input.
  """
  return _forward(layers, params, keys, shared, x)[0]


def _forward(layers, params, keys, shared, x):
  def group(x, of):
    x, seen = forward(layers, of[0], _given(of[1], shared), x)
    return x, [out.get('buckets') for out in seen]

  y, buckets = jax.lax.scan(group, x, (params, keys))
  return y, (params, keys, buckets, shared, y)


def _backward(layers, residuals, dy):
  params, keys, buckets, shared, y = residuals

  def group(carry, of):
    params, keys, buckets = of
    y, dy, gradients = backward(layers, params, _given(keys, shared), buckets, *carry)
    return (y, dy), gradients

  (_, dx), gradients = jax.lax.scan(group, (y, dy), (params, keys, buckets), reverse=True)
  return gradients, None, None, dx


reversible.defvjp(_forward, _backward)


def _given(keys: Sequence[Any], shared: Given) -> list[Given]:
  return [dict(shared, key=key) for key in keys]


class ReversibleBlock(nn.Module):
  """The branches of a layer, dropout(attention(norm(x))) and dropout(mlp(norm(x))).

  Attributes:
    attention: Called with tokens and `inputs`; returns (tokens, a dict of what it has seen).
    mlp: Called with tokens and `train`.
    norm: Copied to norm1 and norm2.
    dropout_rate: Probability with which an output of a branch becomes zero in training.
  """

  attention: nn.Module
  mlp: nn.Module
  norm: nn.Module
  dropout_rate: float = 0.0

  def setup(self):
    self.norm1, self.norm2 = self.norm.copy(), self.norm.copy()
    self.dropout = nn.Dropout(self.dropout_rate)

  def attend(
    self, x: Float[Array, 'b t d'], train: bool, **inputs: Any
  ) -> tuple[Float[Array, 'b t d'], dict[str, Array]]:
    """The branch of attention."""
    y, seen = self.attention(self.norm1(x), **inputs)
    return self.dropout(y, deterministic=not train), seen

  def feed(self, x: Float[Array, 'b t d'], train: bool) -> Float[Array, 'b t d']:
    """The branch of the feed-forward layer."""
    return self.dropout(self.mlp(self.norm2(x), train), deterministic=not train)

  def __call__(self, x: Float[Array, 'b t d'], **inputs: Any) -> Float[Array, 'b t d']:
    """Both, so that all parameters are there."""
    return self.feed(self.attend(x, False, **inputs)[0], False)


class ReversibleStack(nn.Module):
  """Applies `depth` reversible layers, each with its own parameters.

  Attributes:
    blocks: The kinds of layers, which take turns.
    depth: How many there are.
    backward: What the backward pass of training does: 'reversible' finds the inputs of layers from
      their outputs, 'remat' keeps them and computes what lies within again, 'plain' keeps all. None
      changes a result.
    mlp_chunk: Tokens that pass through a feed-forward layer at once, which its hidden units need
      memory for (section 3, 'Chunking'); divides those of a text. 0: all.
  """

  blocks: Sequence[ReversibleBlock]
  depth: int
  backward: str = way(default='reversible')
  mlp_chunk: int = way(default=0)

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b t d'],
    train: bool = False,
    segments: Int[Array, 'b t'] | None = None,
    rotations: Float[Array, 'n k h r'] | None = None,
  ) -> tuple[Float[Array, 'b t two_d'], list[dict[str, Array]]]:
    """Runs the layers on x as either half of the first input, in at least float32.

    Args:
      x: Tokens.
      train: Whether dropout acts and rotations are drawn, with the rng 'dropout'.
      segments: See `lsh_attend`.
      rotations: Of the hashing in every layer, instead of drawn ones.

    Returns:
      Both halves, one behind the other, and what every layer has seen; in training nothing.
    """
    x = wide(x)
    turns = [block.clone(parent=None) for block in self.blocks]
    n = len(turns)
    if self.is_initializing():
      for i in range(self.depth):
        variables = turns[i % n].init(self.make_rng('params'), x)
        self.put_variable('params', f'block_{i}', variables['params'])
    params = [self.get_variable('params', f'block_{i}') for i in range(self.depth)]
    keys = [None] * self.depth
    if train and self.has_rng('dropout'):
      keys = list(jax.random.split(self.make_rng('dropout'), self.depth))
    layers = tuple(_branches(block, train, self.mlp_chunk) for block in turns)
    shared = dict(segments=segments, rotations=rotations)
    if not train:
      every = [layers[i % n] for i in range(self.depth)]
      y, seen = forward(every, params, _given(keys, shared), (x, x))
      return jnp.concatenate(y, axis=-1), seen
    y, first = (x, x), 0
    for last in (self.depth // n * n, self.depth):  # whole turns, then a part of one
      if last > first:
        part = slice(first, last)
        y, first = self._loop(layers[: last - first], params[part], keys[part], shared, y), last
    return jnp.concatenate(y, axis=-1), []

  def _loop(self, layers, params, keys, shared, x: Halves) -> Halves:
    """Layers that take turns, as a loop: unrolled, XLA:CPU would keep what it can compute again."""
    params, keys = (
      [
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees[i :: len(layers)])
        for i in range(len(layers))
      ]
      for trees in (params, keys)
    )
    if self.backward == 'reversible':
      return reversible(layers, params, keys, shared, x)

    def group(x, of):
      return forward(layers, of[0], _given(of[1], shared), x)[0], None

    if self.backward == 'remat':
      group = jax.checkpoint(group, prevent_cse=False)
    return jax.lax.scan(group, x, (params, keys))[0]


def _branches(block: ReversibleBlock, train: bool, mlp_chunk: int) -> Branches:
  """A block as pure functions."""

  def apply(p, key, method, *args, **inputs):
    rngs = None if key is None else {'dropout': key}
    return block.apply({'params': p}, *args, train, **inputs, rngs=rngs, method=method)

  @jax.jit
  def attend(p, given, x, buckets):
    inputs = dict(segments=given['segments'])
    if hasattr(block.attention, 'num_hashes'):
      inputs |= dict(rotations=given['rotations'], buckets=buckets)
    return apply(p, given['key'], 'attend', x, **inputs)

  @jax.jit
  def feed(p, given, x):
    # Another key than that of attention.
    key = None if given['key'] is None else jax.random.fold_in(given['key'], 1)
    if not mlp_chunk or x.shape[1] <= mlp_chunk:
      return apply(p, key, 'feed', x)
    b, t, d = x.shape
    parts = jnp.moveaxis(x.reshape(b, t // mlp_chunk, mlp_chunk, d), 1, 0)
    keys = None if key is None else jax.random.split(key, len(parts))
    one = jax.checkpoint(lambda part: apply(p, part[1], 'feed', part[0]))
    return jnp.moveaxis(jax.lax.map(one, (parts, keys)), 0, 1).reshape(x.shape)

  return Branches(attend, feed)
