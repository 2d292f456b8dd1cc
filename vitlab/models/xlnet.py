"""XLNet: an encoder that learns to say a text in any order (Yang et al. 2019, arXiv:1906.08237).

A token is guessed from those before it in an order that is drawn, by a query that knows where it
stands and not what stands there. Without an order all tokens see all: an encoder that reads a text
in both directions, and whose head is taken off and another put on, as BERT's is.

In: tokens `b t`, and `segments`: 0 padding, 1 and 2 two passages, 3 the token that a classifier
reads, <cls>, the last of its row. Nothing is learned of a place, only of distances, so that a text
may have any length, and padding may stand on either side. Out: float32 logits of the head and a
dict of every intermediate.

With `memory` a row goes on where that of the last step ended: what the blocks have read of it is
the collection `memory`, to which they attend, and which is as long as has been read so far. It is
carried while the model learns; a model that is applied without it reads each row by itself.

Loads XLNet of Hugging Face (`vitlab.pretrained.families.xlnet`).
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vitlab.errors import UserError, unknown
from vitlab.layers.blocks import Block
from vitlab.layers.choices import Size, check_rates, compute_dtype, pick_size
from vitlab.layers.dense import Dense
from vitlab.layers.embeddings import TokenEmbed
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
HEADS = ('words', 'text', 'tokens', 'none')
INIT = nn.initializers.normal(0.02)
MEMORY = 'memory'  # one of `vitlab.tasks.BY_ROW`


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
    head_on: Which of `HEADS` it is.
    memory: Tokens of earlier steps to which a row attends.
    dropout_rate: Probability of dropout on embedded tokens, features and the pooled text.
  """

  token_embedding: TokenEmbed
  encoder: Stack
  pooler: nn.Module | None
  head: nn.Module | None
  head_on: str
  memory: int = 0
  dropout_rate: float = 0.0

  def setup(self):
    self.dropout = nn.Dropout(self.dropout_rate)
    if self.head_on == 'words':  # what a query knows at first: nothing
      self.query_token = self.param('query_token', INIT, (1, self.token_embedding.width))

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
    real = segments > 0
    x = self.token_embedding(tokens)
    seen, place = visible(order, real, places), jnp.broadcast_to(jnp.arange(t), (b, t))
    passage = segments
    if places is not None:
      query = self.query_token.astype(x.dtype)
      x = jnp.concatenate([x, jnp.broadcast_to(query, (*places.shape, x.shape[-1]))], axis=1)
      place = jnp.concatenate([place, places], axis=1)
      passage = jnp.take_along_axis(segments, place, axis=1)
    x = self._drop(x, train)

    before, there = self._recall(b, x)
    m, table = there.shape[1], jnp.promote_types(x.dtype, jnp.float32)
    keys = jnp.concatenate([jnp.ones_like(there, passage.dtype), segments], axis=1)
    seen = jnp.concatenate([jnp.repeat(there[:, None], x.shape[1], axis=1), seen], axis=2)
    y, blocks = self.encoder(
      x,
      train,
      each=dict(before=before) if m else None,
      place=m + place,
      distances=sincos_of_distances(m + t, 1 - t, x.shape[-1], dtype=table),
      different=passage[:, :, None] != keys[:, None],
      mask=seen[:, None],
    )
    self._remember([x, *(block['tokens'] for block in blocks[:-1])], real)

    y = self._drop(y, train)
    content, queries = y[:, :t], y[:, t:]
    out = dict(features=content, blocks=blocks)
    out['attention'] = [block['attention'][:, :, :t] for block in blocks]
    if self.head_on == 'words':
      logits = self.head(content if places is None else queries, self.token_embedding)
    elif self.head_on == 'text':
      out['features'] = at_places(content, _last(real))[:, 0]
      out['pooled'] = jnp.tanh(self.pooler(out['features']))
      logits = self.head(self._drop(out['pooled'], train))
    else:
      logits = content if self.head is None else self.head(content)
    return logits, dict(out, logits=logits)

  def _recall(self, b: int, x: Float[Array, 'b rows d']) -> tuple[list[Array], Bool[Array, 'b m']]:
    """What each block reads of earlier steps, [b m d], and which of it is there."""
    shape = (b, self.encoder.depth, self.memory, x.shape[-1])
    if self.memory and self.is_initializing():
      self.put_variable(MEMORY, 'hidden', jnp.zeros(shape, x.dtype))
      self.put_variable(MEMORY, 'length', jnp.zeros(b, jnp.int32))
    if not self.has_variable(MEMORY, 'hidden') or self.is_initializing():
      return [], jnp.zeros((b, 0), bool)
    hidden, length = (self.get_variable(MEMORY, name) for name in ('hidden', 'length'))
    there = jnp.arange(self.memory) >= self.memory - length[:, None]
    return [hidden[:, i] for i in range(self.encoder.depth)], there

  def _remember(self, read: list[Float[Array, 'b rows d']], real: Bool[Array, 'b t']) -> None:
    """Keeps the last contents that each block has read; of rows that are nothing but padding, those
    of before."""
    known = self.has_variable(MEMORY, 'hidden') and self.is_mutable_collection(MEMORY)
    if not known or self.is_initializing():
      return
    t, empty = real.shape[1], ~jnp.any(real, axis=1)
    old = {name: self.get_variable(MEMORY, name) for name in ('hidden', 'length')}
    new = jax.lax.stop_gradient(jnp.stack([x[:, :t] for x in read], axis=1))
    hidden = jnp.concatenate([old['hidden'], new.astype(old['hidden'].dtype)], axis=2)
    hidden = jnp.where(empty[:, None, None, None], old['hidden'], hidden[:, :, -self.memory :])
    length = jnp.where(empty, old['length'], jnp.minimum(old['length'] + t, self.memory))
    self.put_variable(MEMORY, 'hidden', hidden)
    self.put_variable(MEMORY, 'length', length)

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
  memory: int = 0,
  width: int | None = None,
  depth: int | None = None,
  num_heads: int | None = None,
  mlp_dim: int | None = None,
  mlp: str = 'gelu',
  norm_epsilon: float = 1e-12,
  dropout_rate: float = 0.1,
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
    memory: Tokens of earlier steps to which a row attends while the model learns; for data whose
      rows go on from batch to batch (`order='lanes'` of text).
    width: Channels of a token, instead of the variant's.
    depth: Blocks, instead of the variant's.
    num_heads: Heads, instead of the variant's.
    mlp_dim: Hidden units of the mlps, instead of the variant's.
    mlp: 'gelu' (exact, as in XLNet), 'gelu_tanh', 'relu' or 'swish'.
    norm_epsilon: Added to the variance in the norms.
    dropout_rate: Probability of dropout on embedded tokens, on weights of attention, on branches,
      in the mlps and before the head.
    scan: Whether one block is compiled and looped over: less to compile, never another result.
    remat: What the backward pass keeps of a block, one of `vitlab.layers.stack.REMAT`; '' is
      everything. Less is memory against time, never another result.
    dtype: The type of what is computed, 'bfloat16' or 'float32'; all that is stored or summed stays
      float32.

  Raises:
    UserError: a word or number that cannot be used; lists what is possible.
  """
  check_rates(dropout_rate=dropout_rate)
  sizes = dict(width=width, depth=depth, num_heads=num_heads, mlp_dim=mlp_dim)
  size = pick_size('XLNet', VARIANTS, variant, **sizes)
  if head not in HEADS:
    raise unknown('head', head, HEADS)
  if head in ('text', 'tokens') and not num_classes:
    raise UserError(f'XLNet: head={head!r} needs num_classes')
  if memory < 0 or size.width % 2:
    raise UserError(f'XLNet: memory={memory} is 0 or more, and the width {size.width} is even')
  compute = compute_dtype(dtype)
  new_logits = partial(Dense, dtype=jnp.promote_types(compute, jnp.float32), kernel_init=INIT)
  classes = new_logits(num_classes or 0)
  attention = TwoStreamAttention(size.num_heads, dropout_rate, compute, INIT)
  mlp_layer = make_mlp(mlp, size.mlp_dim, dropout_rate, compute, kernel_init=INIT)
  norm = make_norm('layernorm', norm_epsilon, compute)
  block = Block(attention, mlp_layer, norm, dropout_rate=dropout_rate, norm_place='post')
  return XLNet(
    token_embedding=TokenEmbed(vocab_size, size.width, compute, stddev=0.02),
    encoder=Stack(block, size.depth, scan=scan, remat=check_remat(remat)),
    pooler=Dense(size.width, dtype=compute, kernel_init=INIT) if head == 'text' else None,
    head=dict(words=WordHead(), text=classes, tokens=classes, none=None)[head],
    head_on=head,
    memory=memory,
    dropout_rate=dropout_rate,
  )
