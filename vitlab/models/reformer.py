"""Reformer: a language model of long texts.

Kitaev et al. 2020, 'Reformer: The Efficient Transformer' (arXiv:2001.04451). Attention among tokens
that hash alike takes time t log t instead of t², and reversible layers take memory that does not
grow with depth.

In: tokens `b t`, of one text each, or of several documents (`segments`). Out: float32 logits of the
next token and a dict of intermediates, the attention among them. Loads those of Hugging Face
(`vitlab.pretrained.families.reformer`).

Parameters do not depend on how tokens are hashed: what was trained with some rounds of hashing can
be evaluated with others (`num_hashes`), or with full attention (`attn_layers=('full',)`).
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vitlab.errors import UserError
from vitlab.layers.choices import Size, check_rates, check_words, compute_dtype, pick_size, way
from vitlab.layers.dense import Dense
from vitlab.layers.embeddings import AxialPositions, TokenEmbed, TokenPositions
from vitlab.layers.lsh_attention import LocalAttention, LSHAttention
from vitlab.layers.mlp import make_mlp
from vitlab.layers.norms import make_norm
from vitlab.layers.reversible import BACKWARD, ReversibleBlock, ReversibleStack
from vitlab.ops.positions import places_in_segments

VARIANTS = {
  'mu': Size(16, 2, 2, 32),  # for tests
  'tiny': Size(128, 3, 4, 512),
  'base': Size(1024, 12, 8, 4096),  # section 5
}
ATTENTION = ('lsh', 'local', 'full')
STDDEV = 0.02  # of vectors of tokens


class State(NamedTuple):
  """A text as far as it has been read.

  Attributes:
    tokens: With zeros behind them.
    length: How many have been read.
  """

  tokens: Int[Array, 'b t']
  length: Int[Array, '']

  def take(self, rows: Int[Array, ' rows']) -> 'State':
    """Of some of the texts, which are all as long."""
    return State(self.tokens[rows], self.length)


class Reformer(nn.Module):
  """Tokens and their places, a stack of reversible layers, logits of both halves.

  Attributes:
    token_embedding: Embeds tokens.
    position_embedding: What is added to them.
    decoder: The layers.
    norm: Of both halves, one behind the other.
    head: What it gives out -> logits.
    chunks: Lengths that divide that of a text which is longer than the shortest of them: it is
      padded.
    dropout_rate: On embedded tokens.
  """

  token_embedding: TokenEmbed
  position_embedding: TokenPositions | AxialPositions
  decoder: ReversibleStack
  norm: nn.Module
  head: Dense
  chunks: Sequence[int] = way(default=())
  dropout_rate: float = 0.0

  def setup(self):
    self.dropout = nn.Dropout(self.dropout_rate)

  def __call__(
    self,
    tokens: Int[Array, 'b t'],
    train: bool = False,
    segments: Int[Array, 'b t'] | None = None,
    rotations: Float[Array, 'n k h r'] | None = None,
  ) -> tuple[Float[Array, 'b t vocab'], dict[str, Any]]:
    """Logits of the token after each.

    Args:
      tokens: Of texts.
      train: Whether dropout acts and hashes are drawn, with the rng 'dropout'.
      segments: The number of the document that each token is of, 0 of padding. Positions restart
        with every document, and none sees another. None: each row is one.
      rotations: Of the hashing in every layer, instead of those of the seed or of 'dropout'.

    Returns:
      Logits in at least float32, and 'logits', 'features' (what the head sees) and 'attention' (a
      list of the weights of all layers, [b n t t]; in training there are none).
    """
    b, t = tokens.shape
    position = None if segments is None else places_in_segments(segments)
    x = self.token_embedding(tokens)
    x += self.position_embedding(t, x.dtype, 0, position)
    x = self.dropout(x, deterministic=not train)
    missing = -t % math.lcm(*self.chunks) if self.chunks and t > min(self.chunks) else 0
    if missing:
      segments = jnp.ones((b, t), jnp.int32) if segments is None else segments
      segments = jnp.pad(segments, ((0, 0), (0, missing)))
      x = jnp.pad(x, ((0, 0), (0, missing), (0, 0)))
    x, seen = self.decoder(x, train, segments, rotations)
    x = self.norm(x[:, :t])
    logits = self.head(x)
    attention = [out['attention'][..., :t, :t] for out in seen]
    return logits, dict(logits=logits, features=x, attention=attention)

  def start(self, batch_size: int, max_length: int) -> State:
    """The state before the first token of texts that may become so long."""
    self.position_embedding.check(max_length)
    return State(jnp.zeros((batch_size, max_length), jnp.int32), jnp.zeros((), jnp.int32))

  def step(
    self, state: State, tokens: Int[Array, 'b t']
  ) -> tuple[Float[Array, 'b t vocab'], State]:
    """Some tokens more: logits of what follows each, and the next state.

    All is read again: in which chunk a token is depends on every other.
    """
    first, t = state.length, tokens.shape[1]
    text = jax.lax.dynamic_update_slice_in_dim(state.tokens, tokens, first, axis=1)
    read = jnp.broadcast_to(jnp.arange(text.shape[1]) < first + t, text.shape)
    logits, _ = self(text, segments=read.astype(jnp.int32))
    logits = jax.lax.dynamic_slice_in_dim(logits, first, t, axis=1)
    return logits, State(text, first + t)


def make(
  vocab_size: int,
  variant: str = 'tiny',
  *,
  context: int = 1024,
  width: int | None = None,
  depth: int | None = None,
  num_heads: int | None = None,
  head_dim: int | None = None,
  mlp_dim: int | None = None,
  attn_layers: Sequence[str] = ('lsh',),
  num_hashes: int = 4,
  num_buckets: int | Sequence[int] | None = None,
  lsh_chunk: int = 64,
  local_chunk: int = 64,
  mlp_chunk: int = 0,
  same_bucket: bool = False,
  count_once: bool = False,
  hash_seed: int = 0,
  axial_shape: Sequence[int] | None = None,
  axial_widths: Sequence[int] | None = None,
  causal: bool = True,
  norm_epsilon: float = 1e-12,
  mlp: str = 'relu',
  dropout_rate: float = 0.05,
  backward: str = 'reversible',
  dtype: str = 'float32',
) -> Reformer:
  """Composes a Reformer.

  Args:
    vocab_size: Tokens of the vocabulary; None: the data say it.
    variant: A size of `VARIANTS`.
    context: Tokens of the longest text; None: the data say it.
    width: Channels of a token, instead of the variant's.
    depth: Layers, instead of the variant's.
    num_heads: Heads, instead of the variant's.
    head_dim: Channels of a head; None: width / num_heads.
    mlp_dim: Hidden units of the mlps, instead of the variant's.
    attn_layers: The attention of the layers, which take turns: 'lsh', by hashing; 'local', to
      neighbours; 'full', to all, by the parameters of 'lsh'.
    num_hashes: Rounds of hashing.
    num_buckets: Of a round, an even number, or two of which the buckets are all pairs; None: by the
      length of the text.
    lsh_chunk: Tokens of a chunk of those that are sorted by bucket.
    local_chunk: Tokens of a chunk of neighbours.
    mlp_chunk: Tokens that pass through a feed-forward layer at once; 0: all. Less is memory against
      time.
    same_bucket: Whether a token sees its own bucket alone, as in the paper, not in Hugging Face.
    count_once: Whether a pair that meets in several rounds counts as one, as in the paper, not in
      Hugging Face.
    hash_seed: Of the hashes outside of training; in training they are others at every step.
    axial_shape: Rows and columns of positions that are learned apart; None: a vector for each
      position.
    axial_widths: Channels of the vectors of rows and of columns; None: halves.
    causal: Whether tokens see only those before them.
    norm_epsilon: Added to the variance in the norms.
    mlp: 'relu', 'gelu', 'gelu_tanh', 'swish' or 'swiglu'.
    dropout_rate: Probability of dropout on embedded tokens and on branches.
    backward: What the backward pass keeps, one of `vitlab.layers.reversible.BACKWARD`: never
      another result.
    dtype: The type of what is computed, 'bfloat16' or 'float32'; all that is stored or summed stays
      float32.

  Raises:
    UserError: a word or number that cannot be used; lists what is possible.
  """
  check_rates(dropout_rate=dropout_rate)
  check_words(dict(backward=BACKWARD), backward=backward)
  sizes = dict(width=width, depth=depth, num_heads=num_heads, mlp_dim=mlp_dim)
  size, compute = _size(variant, head_dim, sizes), compute_dtype(dtype)
  chunks = dict(lsh=lsh_chunk, local=local_chunk, mlp=mlp_chunk)
  _check(attn_layers, context, num_hashes, chunks)
  hashing = dict(chunk=lsh_chunk, num_buckets=_buckets(num_buckets), context=context)
  hashing |= dict(same_bucket=same_bucket, count_once=count_once, seed=hash_seed)
  heads = dict(num_heads=size.num_heads, head_dim=head_dim or size.width // size.num_heads)
  kinds = _attention(num_hashes, hashing, local_chunk, dict(heads, causal=causal, dtype=compute))
  new_norm = partial(make_norm, 'layernorm', norm_epsilon, compute)
  feed = make_mlp(mlp, size.mlp_dim, dropout_rate, dtype=compute)
  blocks = [ReversibleBlock(kinds[name], feed, new_norm(), dropout_rate) for name in attn_layers]
  return Reformer(
    TokenEmbed(vocab_size, size.width, compute, stddev=STDDEV),
    _positions(size.width, context, axial_shape, axial_widths),
    ReversibleStack(blocks, size.depth, backward, mlp_chunk),
    new_norm(),
    Dense(vocab_size, dtype=jnp.promote_types(compute, jnp.float32)),
    chunks=[chunks[name] for name in (*attn_layers, 'mlp') if chunks.get(name)],
    dropout_rate=dropout_rate,
  )


def _attention(num_hashes, hashing, local_chunk, options) -> dict[str, nn.Module]:
  """Every kind of attention by its name."""
  return dict(
    lsh=LSHAttention(num_hashes=num_hashes, **hashing, **options),
    full=LSHAttention(num_hashes=0, **hashing, **options),
    local=LocalAttention(chunk=local_chunk, **options),
  )


def _size(variant: str, head_dim: int | None, sizes: dict[str, int | None]) -> Size:
  """The size of a variant, whose width the heads need not divide where they say their own."""
  if head_dim is None:
    return pick_size('Reformer', VARIANTS, variant, **sizes)
  heads = sizes.pop('num_heads')
  size = pick_size('Reformer', VARIANTS, variant, **sizes)
  return size._replace(num_heads=heads or size.num_heads)


def _positions(width, context, shape, widths) -> TokenPositions | AxialPositions:
  if shape is None:
    return TokenPositions('learned', width, context, 'context')
  widths = widths or (width // 2, width - width // 2)
  if len(shape) != 2 or len(widths) != 2 or sum(widths) != width or math.prod(shape) < context:
    raise UserError(
      f'Reformer: axial_shape={tuple(shape)} needs two numbers, their product context={context} '
      f'or more\naxial_widths={tuple(widths)} needs two whose sum is width={width}'
    )
  return AxialPositions(tuple(shape), tuple(widths))


def _buckets(counts: int | Sequence[int] | None) -> tuple[int, ...] | None:
  """Factors of the number of buckets."""
  if counts is None:
    return None
  counts = (counts,) if isinstance(counts, int) else tuple(counts)
  if any(count < 2 or count % 2 for count in counts):
    raise UserError(f'Reformer: num_buckets={counts} needs even numbers')
  return counts


def _check(
  attn_layers: Sequence[str], context: int, num_hashes: int, chunks: dict[str, int]
) -> None:
  """Raises UserError where numbers or words cannot be used."""
  numbers = {f'{name}_chunk': chunks[name] for name in ('lsh', 'local')}
  for name, number in dict(numbers, context=context, num_hashes=num_hashes).items():
    if number < 1:
      raise UserError(f'Reformer: {name}={number} needs to be 1 or more')
  if isinstance(attn_layers, str) or not attn_layers:
    raise UserError(f"Reformer: attn_layers={attn_layers!r} needs to be a list, ('lsh', 'local')")
  for kind in attn_layers:
    check_words(dict(attn_layers=ATTENTION), attn_layers=kind)
