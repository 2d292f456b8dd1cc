"""A recurrent language model: all that it knows of a text is one state (Mikolov et al. 2010).

Layers of cells read a text token by token, and what the last layer shows is compared with the
embedding of every token (tied weights, arXiv:1608.05859). It is what Transformer-XL, GPT and the
others are measured against: a state of fixed size that every token overwrites a part of, in place
of a look at all tokens before (Mikolov et al. 2010, doi:10.21437/Interspeech.2010-343; with LSTM
cells and dropout between the layers, Zaremba et al. 2014, arXiv:1409.2329).

Trained by truncated backpropagation through time: rows that go on from batch to batch
(`data.order='lanes'`) leave their last state in the collection 'memory', where no gradient follows.

In: tokens `b t`. Out: float32 logits of the token after each and a dict of every intermediate.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vitlab.errors import UserError
from vitlab.layers.choices import check_rates, compute_dtype, pick_size, way
from vitlab.layers.embeddings import TokenEmbed
from vitlab.layers.memory import COLLECTION, keep, kept
from vitlab.layers.recurrent import RecurrentStack, State, make_cell, zero_state


class Size(NamedTuple):
  width: int
  depth: int


VARIANTS = {
  'mu': Size(16, 2),  # for tests
  'tiny': Size(256, 1),  # a character model for two cores
  'medium': Size(650, 2),  # of words, arXiv:1409.2329, section 4.1
  'large': Size(1500, 2),
}


class States(NamedTuple):
  """All that is kept from token to token, and from batch to batch.

  Attributes:
    states: Of every layer, the arrays of its cell.
  """

  states: Float[Array, 'b layers arrays d']

  def take(self, rows: Int[Array, ' rows']) -> 'States':
    """Of some of the texts."""
    return States(self.states[rows])

  @classmethod
  def of(cls, layers: Sequence[State]) -> 'States':
    """The states of layers, as one array."""
    return cls(jnp.moveaxis(jnp.stack([jnp.stack(state) for state in layers]), 2, 0))

  def layers(self) -> list[State]:
    """The state of every layer."""
    return [tuple(layer) for layer in jnp.moveaxis(self.states, 0, 2)]


class RNNLanguageModel(nn.Module):
  """Tokens, a stack of recurrent layers, logits.

  Attributes:
    token_embedding: Embeds tokens, and makes logits by the same table.
    layers: The cells.
    dropout_rate: On embedded tokens and in front of the logits.
    remember: Whether rows of training go on from the state that the batch before left.
  """

  token_embedding: TokenEmbed
  layers: RecurrentStack
  dropout_rate: float = 0.0
  remember: bool = way(default=False)
  endless = True  # a state takes as many tokens as there are
  attends = False

  def setup(self):
    self.dropout = nn.Dropout(self.dropout_rate)

  def __call__(
    self,
    tokens: Int[Array, 'b t'],
    train: bool = False,
    segments: Int[Array, 'b t'] | None = None,
  ) -> tuple[Float[Array, 'b t vocab'], dict[str, Any]]:
    """Logits of the token after each.

    Args:
      tokens: Of texts; in training read on from the collection 'memory', which then holds where the
        next step goes on. Otherwise every row begins a text.
      train: Whether dropout acts, with the rng 'dropout', and the memory is carried.
      segments: None: rows of several documents cannot be read.

    Returns:
      Logits, and 'logits', 'features' (what they are made of) and 'states' (of each layer the one
      behind the last token).
    """
    if segments is not None:
      raise UserError(
        'rnn_lm has one state and reads no rows of several documents\nleave out data.pack'
      )
    states = self.start(len(tokens))
    if self.is_initializing() and self.remember:
      keep(self, states)
    if train:
      states = kept(self, States) or states
    (logits, out), states = self.read(tokens, states, train)
    if train and self.remember and self.is_mutable_collection(COLLECTION):
      keep(self, jax.lax.stop_gradient(states))
    return logits, out

  def read(
    self, tokens: Int[Array, 'b t'], states: States, train: bool = False
  ) -> tuple[tuple[Float[Array, 'b t vocab'], dict[str, Any]], States]:
    """Some tokens more.

    Args:
      tokens: Of texts.
      states: Of each layer, in front of them.
      train: Whether dropout acts.

    Returns:
      What the model gives for them, and the states behind them.
    """
    x = self.dropout(self.token_embedding(tokens), deterministic=not train)
    x, states = self.layers(x, jnp.ones(tokens.shape, bool), train, states.layers())
    x = self.dropout(x, deterministic=not train)
    logits = self.token_embedding.logits(x)
    return (logits, dict(logits=logits, features=x, states=states)), States.of(states)

  def start(self, batch_size: int, max_length: int | None = None) -> States:
    """The states before the first token of texts, however long they may become."""
    del max_length
    return States.of([zero_state(cell, batch_size) for cell in self.layers.cells])

  def step(
    self, state: States, tokens: Int[Array, 'b t']
  ) -> tuple[Float[Array, 'b t vocab'], States]:
    """Some tokens more, a whole prompt or one: logits of what follows each, and the next states."""
    (logits, _), state = self.read(tokens, state)
    return logits, state


def make(
  vocab_size: int,
  variant: str = 'medium',
  *,
  cell: str = 'lstm',
  width: int | None = None,
  depth: int | None = None,
  remember: bool = False,
  dropout_rate: float = 0.5,
  dtype: str = 'float32',
) -> RNNLanguageModel:
  """Composes a recurrent language model.

  Args:
    vocab_size: Tokens of the vocabulary; None: the data say it.
    variant: A size of `VARIANTS`.
    cell: 'lstm', 'gru' or 'rnn'.
    width: Channels of a token and of a state, instead of the variant's.
    depth: Layers, instead of the variant's.
    remember: Whether rows of training go on from the state that the batch before left; they have to
      be those of `data.order='lanes'`.
    dropout_rate: Probability of dropout on embedded tokens, between layers and in front of the
      logits; never along time.
    dtype: The type of what is computed, 'bfloat16' or 'float32'; all that is stored or summed stays
      float32, but for the memory.

  Raises:
    UserError: a word or number that cannot be used; lists what is possible.
  """
  check_rates(dropout_rate=dropout_rate)
  size = pick_size('RNN', VARIANTS, variant, width=width, depth=depth)
  compute = compute_dtype(dtype)
  embedding = TokenEmbed(vocab_size, size.width, compute, logits_bias=True, stddev=0.1)
  cells = tuple(make_cell(cell, size.width, compute) for _ in range(size.depth))
  layers = RecurrentStack(cells, dropout_rate=dropout_rate)
  return RNNLanguageModel(embedding, layers, dropout_rate, remember)
