"""XLNet: an encoder that learns to say a text in any order (Yang et al. 2019, arXiv:1906.08237).

A token is guessed from those before it in an order that is drawn, by a query that knows where it
stands and not what stands there. Without an order all tokens see all: an encoder that reads a text
in both directions, and whose head is taken off and another put on, as BERT's is.

In: tokens `b t`, and `segments`: 0 padding, 1 and 2 two passages, 3 the token that a classifier
reads, <cls>, the last of its row. Nothing is learned of a place, only of distances, so that a text
may have any length, and padding may stand on either side. Out: float32 logits of the head and a
dict of every intermediate.

With a memory a row goes on where that of the last step ended: the inputs of the blocks are the
collection `memory`, to which they attend. A model that is applied without it reads rows alone.

Loads XLNet of Hugging Face (`vitlab.pretrained.families.xlnet`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vitlab.errors import UserError
from vitlab.layers.blocks import Block
from vitlab.layers.choices import Size, check_head, check_rates, compute_dtype, pick_size
from vitlab.layers.dense import Dense
from vitlab.layers.embeddings import TokenEmbed
from vitlab.layers.memory import COLLECTION, Memory, empty, keep, kept
from vitlab.layers.mlp import make_mlp
from vitlab.layers.norms import make_norm
from vitlab.layers.stack import Stack, check_remat
from vitlab.layers.two_stream_attention import TwoStreamAttention
from vitlab.ops.permutations import at_places, visible
from vitlab.ops.relative import sincos_of_distances

VARIANTS = {
  'mu': Size(16, 2, 2, 32),  # for tests
  'tiny': Size(128, 2, 2, 512),
  'base': Size(768, 12, 12, 3072),  # appendix A.4 of the paper
  'large': Size(1024, 24, 16, 4096),
}


class WordHead(nn.Module):
  """What stands in a token's place: the matrix that embeds the tokens, and a number for each."""

  @nn.compact
  def __call__(self, x: Float[Array, 'b m d'], embedding: TokenEmbed) -> Float[Array, 'b m vocab']:
    """Logits of all tokens of the vocabulary at each place."""
    bias = self.param('bias', nn.initializers.zeros, (embedding.vocab_size,), jnp.float32)
    logits = embedding.logits(x)
    return logits + bias.astype(logits.dtype)


class XLNet(nn.Module):
  """Embeddings, a stack of blocks with two streams, and a head.

  Attributes:
    token_embedding: Vectors of tokens.
    encoder: Blocks with `TwoStreamAttention`.
    pooler: Layer before the tanh that makes a text of the vector of its last token, or None.
    head: `WordHead`, or a layer on the pooled text or on every token; None: none.
    head_on: Which of `vitlab.layers.choices.HEADS` it is.
    query_init: Initialiser of what a query starts from.
    memory_length: Tokens of earlier steps to which a row attends.
    dropout_rate: Probability of dropout on embedded tokens, features and the pooled text.
  """

  token_embedding: TokenEmbed
  encoder: Stack
  pooler: nn.Module | None
  head: nn.Module | None
  head_on: str
  query_init: Callable
  memory_length: int = 0
  dropout_rate: float = 0.0

  def setup(self):
    self.dropout = nn.Dropout(self.dropout_rate)
    if self.head_on == 'words':  # what a query knows at first: nothing
      self.query_token = self.param('query_token', self.query_init, (1, self.token_embedding.width))

  def __call__(
    self,
    tokens: Int[Array, 'b t'],
    segments: Int[Array, 'b t'] | None = None,
    places: Int[Array, 'b m'] | None = None,
    order: Int[Array, 'b t'] | None = None,
    train: bool = False,
  ) -> tuple[Float[Array, 'b ... logits'], dict[str, Any]]:
    """Logits of the head.

    Args:
      tokens: Numbers of the tokens.
      segments: 0 for padding, else any numbers that tell passages from another. None: one passage.
      places: Where a query guesses the token from those of lower rank; only with `order`, and with
        the head of words. None: the logits are of the contents, which know their tokens.
      order: The rank of every token, see `vitlab.ops.permutations`; None: all see all.
      train: Whether dropout acts, with the rng 'dropout'.

    Returns:
      Logits in at least float32: [b m vocab] of words, [b classes] of a text, [b t classes] of its
      tokens; without a head the features. And a dict: 'logits', 'features' (the last block's
      contents, [b t d]; with the head 'text' its last token, [b d]), 'pooled' [b d] where there is
      a pooler, 'blocks', and 'attention' (a list of the weights of all blocks, [b n t s]).
    """
    b, t = tokens.shape
    segments = jnp.ones_like(tokens) if segments is None else segments
    order = jnp.zeros_like(tokens) if order is None else order
    x, place = self.token_embedding(tokens), jnp.broadcast_to(jnp.arange(t), (b, t))
    if places is not None:
      query = self.query_token.astype(x.dtype)
      x = jnp.concatenate([x, jnp.broadcast_to(query, (*places.shape, x.shape[-1]))], axis=1)
      place = jnp.concatenate([place, places], axis=1)
    seen = visible(order, segments > 0, places)
    x, blocks = self._encode(self._drop(x, train), place, segments, seen, train)

    x = self._drop(x, train)
    content, queries = x[:, :t], x[:, t:]
    out = dict(features=content, blocks=blocks)
    out['attention'] = [block['attention'][:, :, :t] for block in blocks]
    if self.head_on == 'words':
      logits = self.head(content if places is None else queries, self.token_embedding)
    elif self.head_on == 'text':
      out['features'] = at_places(content, _last(segments > 0))[:, 0]
      out['pooled'] = jnp.tanh(self.pooler(out['features']))
      logits = self.head(self._drop(out['pooled'], train))
    else:
      logits = content if self.head is None else self.head(content)
    return logits, dict(out, logits=logits)

  def _encode(
    self,
    x: Float[Array, 'b rows d'],
    place: Int[Array, 'b rows'],
    segments: Int[Array, 'b t'],
    seen: Bool[Array, 'b rows t'],
    train: bool,
  ) -> tuple[Float[Array, 'b rows d'], list[dict[str, Array]]]:
    """Runs the blocks, behind what is remembered, which all may see and which is of passage 1."""
    b, t = segments.shape
    memory, each, m = self._kept(b), None, 0
    passage, keys = jnp.take_along_axis(segments, place, axis=1), segments
    if memory is not None:
      each, m = dict(before=list(jnp.moveaxis(memory.inputs, 1, 0))), memory.inputs.shape[2]
      keys = jnp.pad(segments, ((0, 0), (m, 0)), constant_values=1)
      seen = jnp.pad(seen, ((0, 0), (0, 0), (m, 0)), constant_values=True)
      seen &= memory.written(t)[:, 0]
    table = jnp.promote_types(x.dtype, jnp.float32)
    y, blocks = self.encoder(
      x,
      train,
      each=each,
      place=m + place,
      distances=sincos_of_distances(m + t, 1 - t, x.shape[-1], dtype=table),
      different=passage[:, :, None] != keys[:, None],
      mask=seen[:, None],
    )
    if memory is not None and self.is_mutable_collection(COLLECTION):
      inputs = [x, *(block['tokens'] for block in blocks[:-1])]
      keep(self, memory.then([rows[:, :t] for rows in inputs]))
    return y, blocks

  def _kept(self, b: int) -> Memory | None:
    """What the blocks have read of earlier steps; None where nobody remembers it."""
    if self.is_initializing():
      if self.memory_length:
        width, dtype = self.token_embedding.width, self.token_embedding.dtype
        keep(self, empty(b, self.encoder.depth, self.memory_length, width, dtype))
      return None
    return kept(self)

  def _drop(self, x: Array, train: bool) -> Array:
    return self.dropout(x, deterministic=not train)


def _last(real: Bool[Array, 'b t']) -> Int[Array, 'b 1']:
  """The place of the last token that is no padding."""
  return jnp.max(jnp.where(real, jnp.arange(real.shape[1]), 0), axis=1, keepdims=True)


def make(
  vocab_size: int,
  variant: str = 'base',
  *,
  head: str = 'words',
  num_classes: int | None = None,
  memory_length: int = 0,
  width: int | None = None,
  depth: int | None = None,
  num_heads: int | None = None,
  mlp_dim: int | None = None,
  mlp: str = 'gelu',
  norm_epsilon: float = 1e-12,
  dropout_rate: float = 0.1,
  attention_dropout_rate: float = 0.0,
  scan: bool = False,
  remat: str = '',
  dtype: str = 'float32',
) -> XLNet:
  """Composes an XLNet.

  Args:
    vocab_size: Tokens of the vocabulary; None: the data say it.
    variant: A size of `VARIANTS`.
    head: 'words' (permutation language model), 'text' (classes of a text or a pair), 'tokens'
      (classes of each token) or 'none' (features alone).
    num_classes: Classes of the heads 'text' and 'tokens'; None: the data say it.
    memory_length: Tokens of earlier steps to which a row attends while the model learns to say
      words; for data whose rows go on from batch to batch (`order='lanes'` of text).
    width: Channels of a token, instead of the variant's.
    depth: Blocks, instead of the variant's.
    num_heads: Heads, instead of the variant's.
    mlp_dim: Hidden units of the mlps, instead of the variant's.
    mlp: 'gelu' (exact, as in XLNet), 'gelu_tanh', 'relu' or 'swish'.
    norm_epsilon: Added to the variance in the norms.
    dropout_rate: Probability of dropout on embedded tokens, on branches, in the mlps and before the
      head.
    attention_dropout_rate: Probability of dropout on the weights of attention.
    scan: Whether one block is compiled and looped over: less to compile, never another result.
    remat: What the backward pass keeps of a block, one of `vitlab.layers.stack.REMAT`; '' is
      everything. Less is memory against time, never another result.
    dtype: The type of what is computed, 'bfloat16' or 'float32'; all that is stored or summed stays
      float32.

  Raises:
    UserError: a word or number that cannot be used; lists what is possible.
  """
  check_rates(dropout_rate=dropout_rate, attention_dropout_rate=attention_dropout_rate)
  sizes = dict(width=width, depth=depth, num_heads=num_heads, mlp_dim=mlp_dim)
  size = pick_size('XLNet', VARIANTS, variant, **sizes)
  check_head('XLNet', head, num_classes)
  if memory_length < 0 or size.width % 2:
    given = f'memory_length={memory_length}, width={size.width}'
    raise UserError(f'XLNet: {given}: a memory is 0 or longer, a width even')
  compute = compute_dtype(dtype)
  # 0.02 at the width of the paper's large one. Nothing norms what the first block reads, so that
  # narrower ones of 0.02 would begin deaf.
  stddev = 0.64 * size.width**-0.5
  init = nn.initializers.normal(stddev)
  new_logits = partial(Dense, dtype=jnp.promote_types(compute, jnp.float32), kernel_init=init)
  classes = new_logits(num_classes or 0)
  attention = TwoStreamAttention(size.num_heads, attention_dropout_rate, compute, init)
  mlp_layer = make_mlp(mlp, size.mlp_dim, dropout_rate, compute, kernel_init=init)
  norm = make_norm('layernorm', norm_epsilon, compute)
  block = Block(attention, mlp_layer, norm, dropout_rate=dropout_rate, norm_place='post')
  return XLNet(
    token_embedding=TokenEmbed(vocab_size, size.width, compute, stddev=stddev),
    encoder=Stack(block, size.depth, scan=scan, remat=check_remat(remat)),
    pooler=Dense(size.width, dtype=compute, kernel_init=init) if head == 'text' else None,
    head=dict(words=WordHead(), text=classes, tokens=classes, none=None)[head],
    head_on=head,
    query_init=init,
    memory_length=memory_length if head == 'words' else 0,
    dropout_rate=dropout_rate,
  )
