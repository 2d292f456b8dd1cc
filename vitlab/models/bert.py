"""BERT: an encoder that reads a text in both directions (Devlin et al. 2018, arXiv:1810.04805).

It learns by guessing tokens that were hidden, and whether one passage follows another; then its
head is taken off and another put on, which classifies texts, pairs of texts, or each token.

In: tokens `b t` that begin with [CLS], and `segments`: 0 padding, 1 the first passage, 2 the
second. Out: float32 logits of the head and a dict of every intermediate. Loads BERT of Hugging
Face, with and without pooler and heads (`vitlab.pretrained.families.bert`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vitlab.errors import UserError
from vitlab.layers.attention import SelfAttention
from vitlab.layers.blocks import Block
from vitlab.layers.choices import (
  Size,
  check_head,
  check_rates,
  check_words,
  compute_dtype,
  pick_size,
)
from vitlab.layers.dense import Dense
from vitlab.layers.embeddings import TokenEmbed, TokenPositions
from vitlab.layers.mlp import make_mlp
from vitlab.layers.norms import make_norm
from vitlab.layers.stack import Stack, check_remat
from vitlab.ops.activations import gelu
from vitlab.ops.positions import rope_1d

VARIANTS = {
  'mu': Size(16, 2, 2, 32),  # for tests
  'tiny': Size(128, 2, 2, 512),  # 'tiny' to 'medium': Turc et al. 2019, arXiv:1908.08962
  'mini': Size(256, 4, 4, 1024),
  'small': Size(512, 4, 8, 2048),
  'medium': Size(512, 8, 8, 2048),
  'base': Size(768, 12, 12, 3072),  # section 3 of the paper
  'large': Size(1024, 24, 16, 4096),
}
CHOICES = dict(position_embedding=('learned', 'rope'), norm_place=('post', 'pre'))
INIT = nn.initializers.truncated_normal(0.02)


class WordHead(nn.Module):
  """What BERT would put in a token's place: a layer, then the matrix that embeds the tokens.

  Attributes:
    transform: Dense layer before the gelu.
    norm: Norm after it.
  """

  transform: nn.Module
  norm: nn.Module

  @nn.compact
  def __call__(self, x: Float[Array, 'b m d'], embedding: TokenEmbed) -> Float[Array, 'b m vocab']:
    """Logits of all tokens of the vocabulary at each place."""
    logits = embedding.logits(self.norm(gelu(self.transform(x))))
    bias = self.param('bias', nn.initializers.zeros, (embedding.vocab_size,), jnp.float32)
    return logits + bias.astype(logits.dtype)


class BERT(nn.Module):
  """Embeddings, a stack of blocks, and a head.

  Attributes:
    token_embedding: Vectors of tokens.
    position_embedding: Vectors of places; None: queries and keys turn with the place instead.
    segment_embedding: Vectors of the first and the second passage.
    embedding_norm: Norm of their sum.
    encoder: Blocks in which every token attends to all that are no padding.
    norm: Behind them; None: none.
    pooler: Layer before the tanh that makes a text of the vector of [CLS], or None.
    head: `WordHead`, or a layer on the pooled text or on every token; None: none.
    head_on: Which of `vitlab.layers.choices.HEADS` it is.
    next_head: Layer on the pooled text: does the second passage follow the first? Or None.
    dropout_rate: Probability of dropout on embedded tokens and in front of the head.
  """

  token_embedding: TokenEmbed
  position_embedding: TokenPositions | None
  segment_embedding: TokenEmbed
  embedding_norm: nn.Module
  encoder: Stack
  norm: nn.Module | None
  pooler: nn.Module | None
  head: nn.Module | None
  head_on: str
  next_head: nn.Module | None = None
  dropout_rate: float = 0.0

  def setup(self):
    self.dropout = nn.Dropout(self.dropout_rate)

  def __call__(
    self,
    tokens: Int[Array, 'b t'],
    segments: Int[Array, 'b t'] | None = None,
    places: Int[Array, 'b m'] | None = None,
    train: bool = False,
  ) -> tuple[Float[Array, 'b ... logits'], dict[str, Any]]:
    """Logits of the head.

    Args:
      tokens: Numbers of the tokens, [CLS] first.
      segments: 0 for padding, 1 and 2 for the two passages. None: all are of the first.
      places: Positions for whose tokens the head of words makes logits; None: all.
      train: Whether dropout acts, with the rng 'dropout'.

    Returns:
      Logits in at least float32: [b m vocab] of words, [b classes] of a text, [b t classes] of its
      tokens; without a head the features. And a dict: 'logits', 'features' (the last block's
      tokens, [b t d]), 'pooled' [b d] and 'next_passage' [b 2] where there is a pooler, 'blocks',
      and 'attention' (a list of the weights of all blocks, [b n t t]).
    """
    segments = jnp.ones_like(tokens) if segments is None else segments
    x = self.token_embedding(tokens) + self.segment_embedding(jnp.maximum(segments - 1, 0))
    places_of = self.position_embedding
    x = self.embedding_norm(x if places_of is None else x + places_of(x.shape[1], x.dtype))
    x = self._drop(x, train)
    x, blocks = self.encoder(x, train, mask=(segments > 0)[:, None, None], **self._angles(x))
    x = x if self.norm is None else self.norm(x)

    out = dict(features=x, blocks=blocks, attention=[block['attention'] for block in blocks])
    if self.pooler is not None:
      out['pooled'] = jnp.tanh(self.pooler(x[:, 0]))
    if self.next_head is not None:
      out['next_passage'] = self.next_head(out['pooled'])
    logits = self._logits(x, out, places, train)
    return logits, dict(out, logits=logits)

  def _angles(self, x: Float[Array, 'b t d']) -> dict[str, Array]:
    """By which queries and keys turn, as an input of the blocks."""
    if self.position_embedding is not None:
      return {}
    width = x.shape[-1] // self.encoder.block.attention.num_heads
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    return dict(angles=rope_1d(jnp.arange(x.shape[1]), width, dtype=dtype))

  def _logits(self, x: Float[Array, 'b t d'], out: dict, places: Any, train: bool) -> Array:
    if self.head_on == 'words':
      chosen = x if places is None else jnp.take_along_axis(x, places[..., None], axis=1)
      return self.head(chosen, self.token_embedding)
    if self.head_on == 'text':
      return self.head(self._drop(out['pooled'], train))
    return self.head(self._drop(x, train)) if self.head_on == 'tokens' else x

  def _drop(self, x: Array, train: bool) -> Array:
    return self.dropout(x, deterministic=not train)


def make(
  vocab_size: int,
  variant: str = 'base',
  *,
  head: str = 'words',
  num_classes: int | None = None,
  next_passage: bool = False,
  pooler: bool = True,
  max_length: int = 512,
  position_embedding: str = 'learned',
  norm_place: str = 'post',
  width: int | None = None,
  depth: int | None = None,
  num_heads: int | None = None,
  mlp_dim: int | None = None,
  mlp: str = 'gelu',
  norm_epsilon: float = 1e-12,
  num_segments: int = 2,
  dropout_rate: float = 0.1,
  attention_dropout_rate: float = 0.0,
  scan: bool = False,
  remat: str = '',
  dtype: str = 'float32',
) -> BERT:
  """Composes a BERT.

  Args:
    vocab_size: Tokens of the vocabulary; None: the data say it.
    variant: A size of `VARIANTS`.
    head: 'words' (masked language model), 'text' (classes of a text or a pair), 'tokens' (classes
      of each token) or 'none' (features alone).
    num_classes: Classes of the heads 'text' and 'tokens'; None: the data say it.
    next_passage: Whether a second head says if the second passage follows the first.
    pooler: Whether there is a pooled text, as the head 'text' and `next_passage` need it.
    max_length: Tokens of the longest text, where positions are learned.
    position_embedding: 'learned', or 'rope', which turns queries and keys, as in ModernBERT
      (arXiv:2412.13663).
    norm_place: 'post', norm(x + f(x)), as in BERT, or 'pre', x + f(norm(x)) with one more norm at
      the end.
    width: Channels of a token, instead of the variant's.
    depth: Blocks, instead of the variant's.
    num_heads: Heads, instead of the variant's.
    mlp_dim: Hidden units of the mlps, instead of the variant's.
    mlp: 'gelu' (exact, as in BERT), 'gelu_tanh', 'relu' or 'swish'.
    norm_epsilon: Added to the variance in the norms.
    num_segments: Passages that have a vector.
    dropout_rate: Probability of dropout on embedded tokens, on branches and before the head.
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
  size = pick_size('BERT', VARIANTS, variant, **sizes)
  _check_head(head, num_classes, pooler, next_passage)
  check_words(CHOICES, position_embedding=position_embedding, norm_place=norm_place)
  compute = compute_dtype(dtype)
  new_norm = partial(make_norm, 'layernorm', norm_epsilon, compute)
  new_embed = partial(TokenEmbed, width=size.width, dtype=compute, stddev=0.02)
  new_dense = partial(Dense, dtype=compute, kernel_init=INIT)
  new_logits = partial(Dense, dtype=jnp.promote_types(compute, jnp.float32), kernel_init=INIT)
  rates = dropout_rate, attention_dropout_rate
  block = _block(size, new_norm(), norm_place, mlp, rates, compute)
  learned = position_embedding == 'learned'
  return BERT(
    token_embedding=new_embed(vocab_size),
    position_embedding=TokenPositions('learned', size.width, max_length) if learned else None,
    segment_embedding=new_embed(num_segments),
    embedding_norm=new_norm(),
    encoder=Stack(block, size.depth, scan=scan, remat=check_remat(remat)),
    norm=new_norm() if norm_place == 'pre' else None,
    pooler=new_dense(size.width) if pooler else None,
    head=_head(head, num_classes, new_dense(size.width), new_norm(), new_logits),
    head_on=head,
    next_head=new_logits(2) if next_passage else None,
    dropout_rate=dropout_rate,
  )


def _block(
  size: Size,
  norm: nn.Module,
  norm_place: str,
  mlp: str,
  rates: tuple[float, float],
  compute: jnp.dtype,
) -> Block:
  dropout_rate, attention_dropout_rate = rates
  options = dict(dtype=compute, kernel_init=INIT)
  attention = SelfAttention(size.num_heads, dropout_rate=attention_dropout_rate, **options)
  mlp_layer = make_mlp(mlp, size.mlp_dim, **options)
  return Block(attention, mlp_layer, norm, dropout_rate=dropout_rate, norm_place=norm_place)


def _head(
  head: str, num_classes: int | None, dense: Dense, norm: nn.Module, new_logits: Callable
) -> nn.Module | None:
  if head == 'words':
    return WordHead(dense, norm)
  return new_logits(num_classes) if head in ('text', 'tokens') else None


def _check_head(head: str, num_classes: int | None, pooler: bool, next_passage: bool) -> None:
  check_head('BERT', head, num_classes)
  if not pooler and (head == 'text' or next_passage):
    raise UserError(f'BERT: head={head!r}, next_passage={next_passage} need the pooler')
