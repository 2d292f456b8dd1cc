"""Recurrent layers: simple RNN, LSTM and GRU cells, and their runs over padded sequences.

A cell knows one step: (state, gates of the input) -> state, the state a tuple of arrays whose first
is what the cell shows. What does not depend on the state, the input's share of the gates, is one
matmul for all tokens at once, before the loop. Padding is invisible: where the mask is False a
state passes through unchanged, forwards as well as backwards, and what comes out is zero.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from vitlab.errors import unknown
from vitlab.layers.dense import Dense, fan_init
from vitlab.layers.sharding import parameters_are_whole, whole

State = tuple[Array, ...]  # of one cell: (h,) or (h, c), each [b d]


def _orthogonal(key, shape, dtype=jnp.float32):
  """An orthogonal matrix per gate: [d gates d]."""
  width, gates, _ = shape
  make = nn.initializers.orthogonal()
  keys = jax.random.split(key, gates)
  return jnp.stack([make(k, (width, width), dtype) for k in keys], axis=1)


def _hidden(cell: nn.Module, h: Float[Array, 'b d']) -> Float[Array, 'b gates d']:
  """The state's share of the gates."""
  shape = (cell.gates, cell.width)
  return Dense(shape, 1, False, cell.dtype, _orthogonal, name='hidden')(h)


class SimpleCell(nn.Module):
  """h' = tanh(x + U h) (Elman 1990, doi:10.1207/s15516709cog1402_1).

  Attributes:
    width: Of the state.
    dtype: What is computed in.
  """

  width: int
  dtype: Any = jnp.float32
  gates = 1  # what the input is projected to, each of the cell's width
  arrays = 1  # in the state

  @nn.compact
  def __call__(self, state: State, x: Float[Array, 'b 1 d']) -> State:
    """The state after one token; x is W · token + b."""
    return (jnp.tanh((x + _hidden(self, state[0]))[:, 0]),)


class LSTMCell(nn.Module):
  """Long short-term memory (Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735).

  The form of everybody today, with forget gates (Gers et al. 2000) and without peepholes: gates
  i, f, g, o; c' = σ(f) c + σ(i) tanh(g); h' = σ(o) tanh(c').

  Attributes:
    width: Of the state.
    dtype: What is computed in.
  """

  width: int
  dtype: Any = jnp.float32
  gates = 4
  arrays = 2

  @nn.compact
  def __call__(self, state: State, x: Float[Array, 'b 4 d']) -> State:
    """The state after one token; x is W · token + b."""
    h, c = state
    i, f, g, o = jnp.moveaxis(x + _hidden(self, h), 1, 0)
    c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
    return nn.sigmoid(o) * jnp.tanh(c), c


class GRUCell(nn.Module):
  """Gated recurrent unit (Cho et al. 2014, arXiv:1406.1078), in cuDNN's form.

  Gates r, z, n: n' = tanh(n + σ(r) (U_n h + b_n)); h' = (1 - σ(z)) n' + σ(z) h. The paper has the
  reset gate before the matrix U_n, and the two ends of z the other way round.

  Attributes:
    width: Of the state.
    dtype: What is computed in.
  """

  width: int
  dtype: Any = jnp.float32
  gates = 3
  arrays = 1

  @nn.compact
  def __call__(self, state: State, x: Float[Array, 'b 3 d']) -> State:
    """The state after one token; x is W · token + b."""
    bias = self.param('hidden_bias', nn.initializers.zeros, (self.width,), jnp.float32)
    u = _hidden(self, state[0])
    r, z = nn.sigmoid(x[:, 0] + u[:, 0]), nn.sigmoid(x[:, 1] + u[:, 1])
    n = jnp.tanh(x[:, 2] + r * (u[:, 2] + bias.astype(u.dtype)))
    return ((1 - z) * n + z * state[0],)


CELLS = {'rnn': SimpleCell, 'lstm': LSTMCell, 'gru': GRUCell}


def make_cell(name: str, width: int, dtype: Any = jnp.float32) -> nn.Module:
  """A cell by name: 'rnn', 'lstm' or 'gru'; UserError if there is none."""
  if name not in CELLS:
    raise unknown('cell', name, CELLS)
  return CELLS[name](width, dtype)


def zero_state(cell: nn.Module, batch: int) -> State:
  """What a cell has seen before the first token: nothing."""
  return (jnp.zeros((batch, cell.width), cell.dtype),) * cell.arrays


def input_gates(cell: nn.Module, name: str | None = None, use_bias: bool = True) -> Dense:
  """The projection of what a cell reads to its gates; an LSTM's forget gate starts open."""

  def bias_init(key, shape, dtype=jnp.float32):
    bias = jnp.zeros(shape, dtype)
    return bias.at[1].set(1.0) if cell.gates == 4 else bias  # Gers et al. 2000

  init = fan_init('fan_avg', 'uniform', groups=1)
  shape = (cell.gates, cell.width)
  return Dense(shape, 1, use_bias, cell.dtype, init, bias_init, name=name)


class Recurrent(nn.Module):
  """One direction of one layer.

  Attributes:
    cell: Its width and dtype are the layer's.
    reverse: Read the last token first.
  """

  cell: nn.Module
  reverse: bool = False

  @nn.compact
  def __call__(
    self, x: Float[Array, 'b s d'], mask: Bool[Array, 'b s'], state: State | None = None
  ) -> tuple[Float[Array, 'b s h'], State]:
    """Reads the sequence, from a state on or from nothing.

    Returns:
      What the cell shows at every token, and its last state.
    """

    def step(cell, state, inputs):
      gates, counts = inputs
      after = cell(state, gates)
      state = jax.tree.map(lambda new, old: jnp.where(counts[:, None], new, old), after, state)
      return state, jnp.where(counts[:, None], state[0], 0)

    gates = input_gates(self.cell, 'input')(x)
    state = state or zero_state(self.cell, len(x))
    state, shown = over_time(step, self.reverse)(self.cell, state, (gates, mask))
    return shown, state


def over_time(step: Callable, reverse: bool = False) -> Callable:
  """(module, state, inputs [b t ...]) -> (state, outputs [b t ...]): the step at every token.

  The step, (module, state, inputs [b ...]) -> (state, outputs [b ...]), has the same parameters and
  its own randomness each time.
  """
  scan = nn.scan(
    step,
    variable_broadcast='params',
    split_rngs={'params': False, 'dropout': True},
    in_axes=1,
    out_axes=1,
    reverse=reverse,
  )

  def run(module: nn.Module, state: Any, inputs: Any) -> tuple[Any, Any]:
    if parameters_are_whole() or module.is_initializing():
      return scan(module, state, inputs)
    # Gathered before the loop, not at every token.
    gather = partial(jax.tree.map, whole)
    return nn.map_variables(scan, 'params', gather)(module, state, inputs)

  return run


class RecurrentStack(nn.Module):
  """An encoder: layers one over the other, each in one direction or in both.

  Attributes:
    cells: One per layer.
    bidirectional: Each layer's output is [forwards; backwards], twice as wide.
    dropout_rate: Between the layers.
  """

  cells: Sequence[nn.Module]
  bidirectional: bool = False
  dropout_rate: float = 0.0

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b s d'],
    mask: Bool[Array, 'b s'],
    train: bool = False,
    states: Sequence[State] | None = None,
  ) -> tuple[Float[Array, 'b s h'], list[State]]:
    """Reads the sequence.

    Args:
      x: The sequence.
      mask: Which of it are tokens.
      train: Whether dropout acts, with the rng 'dropout'.
      states: What each layer of a stack in one direction goes on from; None: nothing.

    Returns:
      The last layer's output at every token, zero where padded, and the last state of every layer,
      [forwards; backwards] likewise: the one at the last token beside the one at the first.
    """
    last = []
    for i, cell in enumerate(self.cells):
      if i:
        x = nn.Dropout(self.dropout_rate)(x, deterministic=not train)
      directions = [('forward', False), ('backward', True)][: 1 + self.bidirectional]
      before = states[i] if states else None
      ran = [
        Recurrent(cell.clone(parent=None), reverse, name=f'layer_{i}_{name}')(x, mask, before)
        for name, reverse in directions
      ]
      x = jnp.concatenate([shown for shown, _ in ran], axis=-1)
      parts = zip(*(state for _, state in ran))
      last.append(tuple(jnp.concatenate(part, axis=-1) for part in parts))
    return x, last
