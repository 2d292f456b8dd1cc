"""Sequence to sequence by recurrence, with and without attention.

Without: an encoder reads the source into its last state, and all that the decoder knows of the
sentence is that one vector (Sutskever et al. 2014, arXiv:1409.3215). With: the decoder looks back
at every state of the encoder, weighted by how well it goes with its own (Bahdanau et al. 2014,
arXiv:1409.0473). In symbols, with encoder states h_1 ... h_m and inputs x'_j, `attention_order`
decides between

  'current'   s_0 = h_m, c_0 = 0;  s_j = A([x'_j; s_{j-1}; c_{j-1}]),  c_j = Σ_i α_i h_i, α from s_j
  'previous'  s_0 = h_m;  c_j = Σ_i α_i h_i, α from s_{j-1};  s_j = A([x'_j; s_{j-1}; c_j])

of which the second is the paper's. Logits come from [s_j; c_j], or from s_j alone.

In: source tokens `b s` and decoder inputs `b t`, padded with 0. Out: float32 logits of the next
token and a dict of every intermediate, the attention among them.
"""

from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vitlab.errors import UserError, unknown
from vitlab.layers.alignment import align, make_alignment
from vitlab.layers.choices import check_rates, compute_dtype
from vitlab.layers.dense import Dense, fan_init
from vitlab.layers.embeddings import TokenEmbed
from vitlab.layers.recurrent import (
  RecurrentStack,
  State,
  input_gates,
  make_cell,
  over_time,
)
from vitlab.ops.tokens import is_token

ORDERS = ('current', 'previous')


class Memory(NamedTuple):
  """What the encoder leaves to the decoder.

  Attributes:
    hidden: Its last layer's states h_i.
    keys: They, as the alignment compares them; None without attention.
    mask: Which are of tokens.
    states: The state each layer of the decoder starts from.
  """

  hidden: Float[Array, 'b s h']
  keys: Float[Array, 'b s k'] | None
  mask: Bool[Array, 'b s']
  states: tuple[State, ...]

  def take(self, rows: Int[Array, ' rows']) -> 'Memory':
    """Of some of the sentences."""
    return jax.tree.map(lambda x: x[rows], self)


class DecoderState(NamedTuple):
  """All that the decoder carries from token to token.

  Attributes:
    states: Of its layers.
    context: c_{j-1}; empty without attention.
    coverage: How much attention each token of the source has had, in `step`; None: there is none.
  """

  states: tuple[State, ...]
  context: Float[Array, 'b h']
  coverage: Float[Array, 'b s'] | None = None

  def take(self, rows: Int[Array, ' rows']) -> 'DecoderState':
    """Of some of the sentences."""
    return jax.tree.map(lambda x: x[rows], self)


class Decoder(nn.Module):
  """One step of the decoder.

  Attributes:
    cells: One per layer.
    alignment: Compares its state with the encoder's; None: no attention.
    order: One of `ORDERS`.
    dropout_rate: Between the layers.
  """

  cells: tuple[nn.Module, ...]
  alignment: nn.Module | None = None
  order: str = 'current'
  dropout_rate: float = 0.0

  @nn.compact
  def __call__(
    self, state: DecoderState, gates: Float[Array, 'b gates d'], memory: Memory, train: bool
  ) -> tuple[DecoderState, tuple[Float[Array, 'b shown'], Float[Array, 'b s'] | None]]:
    """Goes on by one token, of which it sees the gates of the first layer.

    Returns:
      The next state, and what the logits are made of with the attention's weights.
    """
    context, weights, states = state.context, None, []
    shown = state.states[-1][0]
    if self.alignment and self.order == 'previous':
      context, weights = self._look(shown, memory)
    for i, (cell, before) in enumerate(zip(self.cells, state.states)):
      if i:
        shown = nn.Dropout(self.dropout_rate)(shown, deterministic=not train)
        gates = input_gates(cell, f'input_{i}')(shown)
      elif self.alignment:
        gates += input_gates(cell, 'context', use_bias=False)(context)
      states.append(cell(before, gates))
      shown = states[-1][0]
    if self.alignment and self.order == 'current':
      context, weights = self._look(shown, memory)
    shown = jnp.concatenate([shown, context], axis=-1)
    return DecoderState(tuple(states), context, state.coverage), (shown, weights)

  def start(self, memory: Memory) -> DecoderState:
    """Before the first token: s_0 and c_0 = 0."""
    width = memory.hidden.shape[-1] if self.alignment else 0
    context = jnp.zeros((len(memory.hidden), width), memory.hidden.dtype)
    return DecoderState(memory.states, context)

  def keys(self, hidden: Float[Array, 'b s h']) -> Float[Array, 'b s k'] | None:
    """The encoder's states as they are compared: once a sentence."""
    return self.alignment.keys(hidden) if self.alignment else None

  def _look(self, shown: Array, memory: Memory) -> tuple[Array, Array]:
    logits = self.alignment.logits(shown[:, None], memory.keys)
    context, weights = align(logits, memory.hidden, memory.mask)
    return context[:, 0], weights[:, 0]


class RNNSeq2Seq(nn.Module):
  """Encoder, decoder and what lies between them.

  Attributes:
    source: Embeds the source's tokens.
    target: Embeds the decoder's inputs.
    encoder: Reads the source.
    decoder: Says the target, a token at a time.
    head: What the decoder shows -> logits.
    dropout_rate: On embedded tokens and before the head.
  """

  source: nn.Module
  target: nn.Module
  encoder: RecurrentStack
  decoder: Decoder
  head: nn.Module
  dropout_rate: float = 0.0

  def setup(self):
    self.dropout = nn.Dropout(self.dropout_rate)
    self.decoder_input = input_gates(self.decoder.cells[0])
    if self.encoder.bidirectional:
      self.bridge = [
        [Dense(cell.width, dtype=cell.dtype) for _ in range(cell.arrays)]
        for cell in self.decoder.cells
      ]

  def __call__(
    self, tokens: Int[Array, 'b s'], inputs: Int[Array, 'b t'], train: bool = False
  ) -> tuple[Float[Array, 'b t vocab'], dict[str, Any]]:
    """Logits of the token after each of the inputs; see `decode`."""
    return self.decode(self.encode(tokens, train), inputs, train)

  def encode(self, tokens: Int[Array, 'b s'], train: bool = False) -> Memory:
    """Reads the source; padding is invisible."""
    mask = is_token(tokens)
    x = self.dropout(self.source(tokens), deterministic=not train)
    hidden, states = self.encoder(x, mask, train)
    if self.encoder.bidirectional:
      states = [
        tuple(jnp.tanh(dense(x)) for dense, x in zip(bridge, state))
        for bridge, state in zip(self.bridge, states)
      ]
    return Memory(hidden, self.decoder.keys(hidden), mask, tuple(states))

  def decode(
    self, memory: Memory, inputs: Int[Array, 'b t'], train: bool = False
  ) -> tuple[Float[Array, 'b t vocab'], dict[str, Any]]:
    """All steps at once, as far as the inputs are known (teacher forcing).

    Args:
      memory: From `encode`.
      inputs: Each time the token that was said before.
      train: Whether dropout acts, with the rng 'dropout'.

    Returns:
      Logits in at least float32, and 'logits', 'features' (what the head sees) and, with attention,
      'cross_attention': a list of one layer's weights [b 1 t s].
    """

    def step(decoder, state, gates):
      return decoder(state, gates, memory, train)

    gates = self._gates(inputs, train)
    state = self.decoder.start(memory)
    _, (shown, weights) = over_time(step)(self.decoder, state, gates)
    logits = self._logits(shown, train)
    out = dict(logits=logits, features=shown)
    if weights is not None:
      out['cross_attention'] = [weights[:, None]]
    return logits, out

  def start(self, memory: Memory, max_length: int) -> tuple[Memory, DecoderState]:
    """What `step` wants of the source, and starts from, for up to `max_length` tokens."""
    del max_length  # a state does not grow
    coverage = jnp.zeros(memory.mask.shape, jnp.float32) if self.decoder.alignment else None
    return memory, self.decoder.start(memory)._replace(coverage=coverage)

  def step(
    self, memory: Memory, state: DecoderState, token: Int[Array, ' b']
  ) -> tuple[Float[Array, 'b vocab'], DecoderState]:
    """One token more: logits of what follows it, and the next state."""
    state, (shown, weights) = self.decoder(state, self._gates(token, train=False), memory, False)
    if weights is not None:
      state = state._replace(coverage=state.coverage + weights.astype(jnp.float32))
    return self._logits(shown, train=False), state

  def _gates(self, tokens: Int[Array, '*b'], train: bool) -> Float[Array, '*b gates d']:
    return self.decoder_input(self.dropout(self.target(tokens), deterministic=not train))

  def _logits(self, shown: Float[Array, '*b d'], train: bool) -> Float[Array, '*b vocab']:
    return self.head(self.dropout(shown, deterministic=not train))


def make(
  vocab_size: int,
  *,
  cell: str = 'lstm',
  width: int = 256,
  embedding_width: int | None = None,
  depth: int = 1,
  bidirectional: bool = False,
  attention: str = 'none',
  attention_order: str = 'current',
  dropout_rate: float = 0.0,
  dtype: str = 'float32',
) -> RNNSeq2Seq:
  """Composes an encoder and a decoder.

  Args:
    vocab_size: Tokens of both languages together; None: the data say it.
    cell: 'rnn', 'lstm' or 'gru', in encoder and decoder.
    width: Channels of the states.
    embedding_width: Channels of the embedded tokens; None: those of the states.
    depth: Layers of encoder and decoder; the decoder's attention reads from the last one into the
      first.
    bidirectional: Whether the encoder reads in both directions, its states twice as wide; then s_0
      = tanh(W [h_m; h_1] + b).
    attention: 'none', 'additive', 'multiplicative', 'scaled_multiplicative' or 'general'
      (`vitlab.layers.alignment`).
    attention_order: 'current' or 'previous', see the top.
    dropout_rate: Probability of dropout on embedded tokens, between layers and before the logits.
    dtype: The type of what is computed, 'bfloat16' or 'float32'. Parameters, softmax and logits
      stay float32.

  Raises:
    UserError: a word or number that cannot be used; lists what is possible.
  """
  check_rates(dropout_rate=dropout_rate)
  if attention_order not in ORDERS:
    raise unknown('attention_order', attention_order, ORDERS)
  if depth < 1 or width < 1:
    raise UserError(f'rnn_seq2seq: width={width} and depth={depth} must be at least 1')
  compute = compute_dtype(dtype)
  cells = tuple(make_cell(cell, width, compute) for _ in range(depth))
  new_embed = partial(TokenEmbed, vocab_size, embedding_width or width, compute)
  alignment = None if attention == 'none' else make_alignment(attention, width, compute)
  return RNNSeq2Seq(
    source=new_embed(),
    target=new_embed(),
    encoder=RecurrentStack(cells, bidirectional, dropout_rate),
    decoder=Decoder(tuple(cell.copy() for cell in cells), alignment, attention_order, dropout_rate),
    head=Dense(
      vocab_size,
      dtype=jnp.promote_types(compute, jnp.float32),
      kernel_init=fan_init('fan_avg', 'uniform'),
    ),
    dropout_rate=dropout_rate,
  )
