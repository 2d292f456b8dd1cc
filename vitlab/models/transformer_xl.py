"""Transformer-XL: a language model that remembers what it read before (arXiv:1901.02860).

A long text is read in segments. The inputs that every block had in the segments before are kept as
a memory, which the next segment attends to and no gradient enters; where tokens stand is said by
their distances alone, so that a memory may be longer than any that training had.

In: tokens `b t`. Out: float32 logits of the next token (of a vocabulary in clusters, their
log-probabilities) and a dict of every intermediate, the attention among them. In training, row i of
a batch goes on where row i of the one before ended, with the memory in the Flax collection
`memory`. Otherwise each row is a text of its own: however long, it is read segment by segment with
a memory that begins empty. Loads Transformer-XLs of Hugging Face
(`vitlab.pretrained.families.transformer_xl`).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vitlab.errors import UserError
from vitlab.layers.adaptive import AdaptiveEmbed, check_clusters
from vitlab.layers.blocks import Block
from vitlab.layers.choices import Size, check_rates, compute_dtype, pick_size, way
from vitlab.layers.embeddings import TokenEmbed
from vitlab.layers.memory import COLLECTION, Memory, empty, keep, kept, read_in_segments
from vitlab.layers.mlp import make_mlp
from vitlab.layers.norms import make_norm
from vitlab.layers.relative_attention import RelativeAttention
from vitlab.layers.sharding import whole
from vitlab.layers.stack import Stack, check_remat
from vitlab.ops.relative import distances, sincos_of_distances

VARIANTS = {
  'mu': Size(16, 2, 2, 32),  # for tests
  'tiny': Size(128, 4, 4, 512),  # a character model for two cores, as that of GPT
  'base': Size(512, 12, 8, 2048),  # enwik8: 41 million parameters, 1.06 bits per character
  'large': Size(1024, 24, 8, 3072),  # enwik8: 277 million, 0.99
  'wt103': Size(410, 16, 10, 2100),  # WikiText-103: 151 million, with its vocabulary
  'wt103_large': Size(1024, 18, 16, 4096),  # with clusters, each a quarter as wide as the last
}
STDDEV = 0.02  # of all initial matrices and of their biases


class TransformerXL(nn.Module):
  """Tokens, a stack of blocks that attend to a memory, logits.

  Attributes:
    token_embedding: Embeds tokens, and makes logits by the same tables.
    decoder: The blocks; each token sees itself and those before it.
    dropout_rate: On embedded tokens, on distances and in front of the logits.
    segment: Tokens that are read at once.
    memory_length: Tokens that are remembered in training.
    eval_memory_length: Otherwise.
    same_length: Whether all tokens see equally far: as many tokens as are remembered.
    clamp_len: Tokens further away than this are as this far; None: none are.
  """

  token_embedding: nn.Module
  decoder: Stack
  dropout_rate: float = 0.0
  segment: int = way(default=1)
  memory_length: int = way(default=0)
  eval_memory_length: int = way(default=0)
  same_length: bool = way(default=False)
  clamp_len: int | None = way(default=None)

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
      tokens: Of texts; in training a segment of each, read with the collection 'memory', which then
        holds what the next step needs. Without that collection it begins empty.
      train: Whether dropout acts, with the rng 'dropout', and the memory is carried.
      segments: None: rows of several documents cannot be read.

    Returns:
      Logits, and 'logits', 'features' (what they are made of) and 'attention' (a list of the
      weights of all blocks: in training [b n t s], the memory first, else [b n t t]); where a row
      is one segment also 'blocks' (what each block gives out).
    """
    if segments is not None:
      raise UserError(
        'Transformer-XL remembers one text and reads no rows of several documents'
        "\nleave out data.pack, or take data.order='lanes'"
      )
    if self.is_initializing():
      if self.memory_length:
        keep(self, self._empty(tokens.shape[0], self.memory_length))
      return self.read(tokens)[0]
    if train:
      memory = kept(self) or self._empty(tokens.shape[0], self.memory_length)
      found, memory = self.read(tokens, memory, train)
      if self.is_mutable_collection(COLLECTION) and self.memory_length:
        keep(self, memory)
      return found
    if tokens.shape[1] <= self.segment:
      return self.read(tokens)[0]
    model, variables = self.clone(parent=None), {'params': self.variables['params']}
    read = partial(model.apply, variables, method='read')
    memory = self._empty(tokens.shape[0], self.eval_memory_length)
    return read_in_segments(read, tokens, self.segment, memory)

  def read(
    self,
    tokens: Int[Array, 'b t'],
    memory: Memory | None = None,
    train: bool = False,
  ) -> tuple[tuple[Float[Array, 'b t vocab'], dict[str, Any]], Memory | None]:
    """One segment.

    Args:
      tokens: Of the segment.
      memory: What came before it; None: nothing did, and nothing is to be remembered.
      train: Whether dropout acts.

    Returns:
      What the model gives for the segment, and the memory behind it.
    """
    t, each = tokens.shape[1], {}
    mask, keys = None, t
    if memory is not None:
      keys += memory.inputs.shape[2]
      each = dict(before=list(jnp.moveaxis(memory.inputs, 1, 0)))
      mask = memory.written(t)
    x = self.token_embedding(tokens)
    x = self.dropout(x * x.shape[-1] ** 0.5, deterministic=not train)
    width, at_least_32 = x.shape[-1], jnp.promote_types(x.dtype, jnp.float32)
    table = sincos_of_distances(keys - 1, 0, width, self.clamp_len, at_least_32)
    table = self.dropout(whole(table.astype(x.dtype)), deterministic=not train)
    first, mask = x, self._mask(t, keys, mask, train)
    x, blocks = self.decoder(x, train, each=each, distances=table, mask=mask)
    if memory is not None:
      memory = memory.then([first, *(block['tokens'] for block in blocks[:-1])])
    x = self.dropout(x, deterministic=not train)
    logits = self.token_embedding.logits(x)
    attention = [block['attention'] for block in blocks]
    return (logits, dict(logits=logits, features=x, blocks=blocks, attention=attention)), memory

  @property
  def endless(self) -> bool:
    """Whether what is read one by one may be longer than what `start` was told."""
    return self.eval_memory_length > 0

  def start(self, batch_size: int, max_length: int) -> Memory:
    """The state before the first token of texts.

    It holds `max_length` tokens at least: what is read one by one sees what a segment does.
    """
    return self._empty(batch_size, max(max_length, self.eval_memory_length))

  def step(
    self, state: Memory, tokens: Int[Array, 'b t']
  ) -> tuple[Float[Array, 'b t vocab'], Memory]:
    """Some tokens more, a whole prompt or one: logits of what follows each, and the next state."""
    (logits, _), state = self.read(tokens, state)
    return logits, state

  def _mask(
    self, t: int, keys: int, written: Bool[Array, 'b 1 1 s'] | None, train: bool
  ) -> Bool[Array, '#b 1 t s']:
    """Where a token may look: not ahead, not where nothing is, and with `same_length` not on."""
    before = distances(t, keys)
    mask = before >= 0
    if self.same_length:
      mask &= before < max(1, self.memory_length if train else self.eval_memory_length)
    mask = jnp.asarray(mask)[None, None]
    return mask if written is None else mask & written

  def _empty(self, batch_size: int, places: int) -> Memory:
    embedding = self.token_embedding
    return empty(batch_size, self.decoder.depth, places, embedding.width, embedding.dtype)


def make(
  vocab_size: int,
  variant: str = 'base',
  *,
  context: int = 512,
  memory_length: int | None = None,
  eval_memory_length: int | None = None,
  same_length: bool = False,
  clamp_len: int | None = None,
  width: int | None = None,
  depth: int | None = None,
  num_heads: int | None = None,
  mlp_dim: int | None = None,
  cutoffs: Sequence[int] = (),
  div_val: int = 1,
  norm_epsilon: float = 1e-5,
  dropout_rate: float = 0.1,
  attention_dropout_rate: float = 0.0,
  scan: bool = False,
  remat: str = '',
  dtype: str = 'float32',
) -> TransformerXL:
  """Composes a Transformer-XL.

  Args:
    vocab_size: Tokens of the vocabulary; None: the data say it.
    variant: A size of `VARIANTS`.
    context: Tokens of a segment, which are read at once; None: the data say it.
    memory_length: Tokens before a segment that are remembered in training; 0: none; None: as many
      as the context.
    eval_memory_length: Otherwise; None: as many as in training.
    same_length: Whether every token sees as many tokens as are remembered, and not the first of a
      segment fewer than its last.
    clamp_len: The distance beyond which tokens are all as far away; None: there is none.
    width: Channels of a token, instead of the variant's.
    depth: Blocks, instead of the variant's.
    num_heads: Heads, instead of the variant's.
    mlp_dim: Hidden units of the mlps, instead of the variant's.
    cutoffs: Of a vocabulary sorted by frequency: the first token of each cluster of rare ones.
    div_val: By how much the vectors of each cluster are narrower than those before; 1: not at all.
    norm_epsilon: Added to the variance in the norms.
    dropout_rate: Probability of dropout on embedded tokens, distances, branches, hidden units and
      in front of the logits.
    attention_dropout_rate: Probability of dropout on the weights of attention.
    scan: Whether one block is compiled and looped over: less to compile, never another result.
    remat: What the backward pass keeps of a block, one of `vitlab.layers.stack.REMAT`; '' is
      everything. Less is memory against time, never another result.
    dtype: The type of what is computed, 'bfloat16' or 'float32'; all that is stored or summed stays
      float32, but for the memory.

  Raises:
    UserError: a word or number that cannot be used; lists what is possible.
  """
  check_rates(dropout_rate=dropout_rate, attention_dropout_rate=attention_dropout_rate)
  sizes = dict(width=width, depth=depth, num_heads=num_heads, mlp_dim=mlp_dim)
  size = pick_size('Transformer-XL', VARIANTS, variant, **sizes)
  memory_length = context if memory_length is None else memory_length
  eval_length = memory_length if eval_memory_length is None else eval_memory_length
  _check(size, context, memory_length, eval_length, clamp_len)
  compute, init = compute_dtype(dtype), nn.initializers.normal(STDDEV)
  embedding = _embedding(vocab_size, size.width, tuple(cutoffs), div_val, compute)
  block = Block(
    RelativeAttention(
      size.num_heads, size.width // size.num_heads, compute, init, attention_dropout_rate
    ),
    make_mlp('relu', size.mlp_dim, dropout_rate, compute, init),
    make_norm('layernorm', norm_epsilon, compute),
    dropout_rate=dropout_rate,
    norm_place='post',
  )
  decoder = Stack(block, size.depth, scan=scan, remat=check_remat(remat))
  lengths = dict(memory_length=memory_length, eval_memory_length=eval_length)
  how = dict(segment=context, same_length=same_length, clamp_len=clamp_len)
  return TransformerXL(embedding, decoder, dropout_rate, **lengths, **how)


def _check(
  size: Size, context: int, memory_length: int, eval_length: int, clamp_len: int | None
) -> None:
  """Raises UserError where these numbers cannot be used."""
  if size.width % 2:
    raise UserError(f'Transformer-XL: the width {size.width} is not even')
  least = dict(context=(context, 1), memory_length=(memory_length, 0))
  least |= dict(eval_memory_length=(eval_length, 0), clamp_len=(clamp_len or 1, 1))
  for name, (value, smallest) in least.items():
    if value < smallest:
      raise UserError(f'Transformer-XL: {name}={value} needs to be {smallest} or more')


def _embedding(
  vocab_size: int, width: int, cutoffs: tuple[int, ...], div_val: int, dtype: Any
) -> TokenEmbed | AdaptiveEmbed:
  """One table of all tokens, or clusters of them; raises UserError where they cannot be cut."""
  check_clusters(vocab_size, width, cutoffs, div_val)
  if cutoffs or div_val > 1:
    return AdaptiveEmbed(vocab_size, width, cutoffs, div_val, dtype, STDDEV)
  return TokenEmbed(vocab_size, width, dtype, logits_bias=True, stddev=STDDEV)
