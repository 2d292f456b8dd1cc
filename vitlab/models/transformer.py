"""The Transformer: attention is all you need (Vaswani et al. 2017, arXiv:1706.03762).

An encoder of self-attention reads the source; a decoder of masked self-attention and attention to
the encoder's tokens says the target. While it learns, all tokens are read and said at once.

In: source tokens `b s` and decoder inputs `b t`, padded with 0. Out: float32 logits of the next
token and a dict of every intermediate, both kinds of attention among them. Loads the Marian
checkpoints of Hugging Face, opus-mt among them (`vitlab.pretrained.families.transformer`).
"""

from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vitlab.errors import UserError
from vitlab.layers.attention import CrossAttention, KeysAndValues, SelfAttention
from vitlab.layers.blocks import Block
from vitlab.layers.choices import Size, check_rates, check_words, compute_dtype, pick_size
from vitlab.layers.dense import Dense
from vitlab.layers.embeddings import TokenEmbed, TokenPositions
from vitlab.layers.mlp import XAVIER, make_mlp
from vitlab.layers.norms import make_norm
from vitlab.layers.stack import Stack, check_remat
from vitlab.ops.tokens import is_token

VARIANTS = {
  'mu': Size(16, 2, 2, 32),  # for tests
  'tiny': Size(128, 4, 4, 256),  # Multi30k: Wu et al. 2021, arXiv:2105.14462
  'base': Size(512, 6, 8, 2048),  # table 3 of the paper
  'big': Size(1024, 6, 16, 4096),
}
CHOICES = dict(
  norm_place=('post', 'pre'), position_embedding=('sincos', 'sincos_interleaved', 'learned')
)


class Memory(NamedTuple):
  """What the encoder leaves to the decoder.

  Attributes:
    tokens: Its last layer's.
    mask: Which are not padding.
    known: Their keys and values in every block of the decoder; None before `start`.
  """

  tokens: Float[Array, 'b s d']
  mask: Bool[Array, 'b s']
  known: tuple[KeysAndValues, ...] | None = None

  def take(self, rows: Int[Array, ' rows']) -> 'Memory':
    """Of some of the sentences."""
    return jax.tree.map(lambda x: x[rows], self)


class DecoderState(NamedTuple):
  """All that the decoder keeps from token to token.

  Attributes:
    past: Keys and values in every block of what has been said; zeros where nothing has.
    length: How many tokens have been said.
    coverage: How much attention each source token has had: in the last block, a mean over heads.
  """

  past: tuple[KeysAndValues, ...]
  length: Int[Array, '']
  coverage: Float[Array, 'b s']

  def take(self, rows: Int[Array, ' rows']) -> 'DecoderState':
    """Of some of the sentences, which all have said as much."""
    past = jax.tree.map(lambda x: x[rows], self.past)
    return DecoderState(past, self.length, self.coverage[rows])


class Transformer(nn.Module):
  """Encoder, decoder and what lies around them.

  Attributes:
    source: Embeds the source's tokens.
    target: Embeds the decoder's inputs; None: as the source's.
    head: What the decoder shows -> logits; None: by the matrix that embeds the targets.
    encoder: Of the source.
    decoder: Of the target; its blocks look at the source.
    norm: Copied behind encoder and decoder; None: none.
    positions: The position_embedding of `make`.
    max_length: Of sentences, where positions are learned.
    dropout_rate: On embedded tokens.
  """

  source: TokenEmbed
  target: TokenEmbed | None
  head: nn.Module | None
  encoder: Stack
  decoder: Stack
  norm: nn.Module | None
  positions: str = 'sincos'
  max_length: int = 512
  dropout_rate: float = 0.0

  def setup(self):
    self.dropout = nn.Dropout(self.dropout_rate)
    if self.norm is not None:
      self.encoder_norm, self.decoder_norm = self.norm.clone(), self.norm.clone()
    new = partial(TokenPositions, self.positions, self.source.width, self.max_length)
    self.source_places = new(table='source_position')
    self.target_places = new(table='target_position')
    for places in (self.source_places, self.target_places):  # a parameter each, among our own
      nn.share_scope(self, places)

  def __call__(
    self, tokens: Int[Array, 'b s'], inputs: Int[Array, 'b t'], train: bool = False
  ) -> tuple[Float[Array, 'b t vocab'], dict[str, Any]]:
    """Logits of the token after each of the inputs; see `decode`."""
    return self.decode(self.encode(tokens, train), inputs, train)

  def encode(self, tokens: Int[Array, 'b s'], train: bool = False) -> Memory:
    """Reads the source; padding is invisible."""
    mask = is_token(tokens)
    x = self._embed(self.source, tokens, self.source_places, 0, train)
    x, _ = self.encoder(x, train, mask=mask[:, None, None])
    return Memory(x if self.norm is None else self.encoder_norm(x), mask)

  def decode(
    self, memory: Memory, inputs: Int[Array, 'b t'], train: bool = False
  ) -> tuple[Float[Array, 'b t vocab'], dict[str, Any]]:
    """All steps at once, as far as the inputs are known (teacher forcing).

    Args:
      memory: From `encode`.
      inputs: Each time the token that was said before.
      train: Whether dropout acts, with the rng 'dropout'.

    Returns:
      Logits in at least float32, and 'logits', 'features' (what the head sees), 'blocks' (what each
      block of the decoder gives out), 'attention' and 'cross_attention' (lists of the weights of
      all blocks, [b n t t] and [b n t s]).
    """
    x = self._embed(self.target or self.source, inputs, self.target_places, 0, train)
    x, blocks = self.decoder(x, train, memory=memory.tokens, memory_mask=memory.mask[:, None, None])
    x, logits = self._show(x)
    maps = {kind: [block[kind] for block in blocks] for kind in ('attention', 'cross_attention')}
    return logits, dict(logits=logits, features=x, blocks=blocks, **maps)

  def start(self, memory: Memory, max_length: int) -> tuple[Memory, DecoderState]:
    """What `step` wants of the source, and starts from, for up to `max_length` tokens."""
    self.target_places.check(max_length)
    # A token of which only the keys and values of the source are read: XLA drops the rest of it.
    x = jnp.zeros((len(memory.tokens), 1, self.source.width), memory.tokens.dtype)
    _, blocks = self.decoder(x, memory=memory.tokens)
    known = tuple((block['cross_k'], block['cross_v']) for block in blocks)
    # As many places as there may be tokens: keys and values of a later step are written in place.
    past = jax.tree.map(lambda k: jnp.zeros((*k.shape[:2], max_length, k.shape[3]), k.dtype), known)
    coverage = jnp.zeros(memory.mask.shape, jnp.float32)
    return memory._replace(known=known), DecoderState(past, jnp.zeros((), jnp.int32), coverage)

  def step(
    self, memory: Memory, state: DecoderState, token: Int[Array, ' b']
  ) -> tuple[Float[Array, 'b vocab'], DecoderState]:
    """One token more: logits of what follows it, and the next state."""
    target = self.target or self.source
    x = self._embed(target, token[:, None], self.target_places, state.length, False)
    x, blocks = self.decoder(
      x,
      each=dict(past=state.past, memory=memory.known),
      length=state.length,
      memory_mask=memory.mask[:, None, None],
    )
    past = tuple((block['k'], block['v']) for block in blocks)
    weights = blocks[-1]['cross_attention'].astype(jnp.float32)
    coverage = state.coverage + weights[:, :, 0].mean(axis=1)
    return self._show(x)[1][:, 0], DecoderState(past, state.length + 1, coverage)

  def _embed(
    self, embed: TokenEmbed, tokens: Int[Array, 'b t'], places: TokenPositions, first: Any, train
  ) -> Float[Array, 'b t d']:
    """Tokens times sqrt(d), as in the paper, and where they are, from position `first` on."""
    x = embed(tokens)
    length, width = x.shape[1:]
    x = x * jnp.asarray(width**0.5, x.dtype) + places(length, x.dtype, first)
    return self.dropout(x, deterministic=not train)

  def _show(self, x: Float[Array, 'b t d']) -> tuple[Array, Float[Array, 'b t vocab']]:
    """What the head sees, and what it makes of it: the logits."""
    x = x if self.norm is None else self.decoder_norm(x)
    return x, self.head(x) if self.head is not None else (self.target or self.source).logits(x)


def make(
  vocab_size: int,
  variant: str = 'base',
  *,
  width: int | None = None,
  depth: int | None = None,
  num_heads: int | None = None,
  mlp_dim: int | None = None,
  norm_place: str = 'post',
  norm_epsilon: float = 1e-6,
  position_embedding: str = 'sincos',
  max_length: int = 512,
  tied: bool = True,
  logits_bias: bool = False,
  mlp: str = 'relu',
  dropout_rate: float = 0.1,
  scan: bool = False,
  remat: str = '',
  dtype: str = 'float32',
) -> Transformer:
  """Composes a Transformer.

  Args:
    vocab_size: Tokens of both languages together; None: the data say it.
    variant: A size of `VARIANTS`.
    width: Channels of a token, instead of the variant's.
    depth: Blocks of the encoder, and as many of the decoder, instead of the variant's.
    num_heads: Heads of all attentions, instead of the variant's.
    mlp_dim: Hidden units of the mlps, instead of the variant's.
    norm_place: 'post', norm(x + f(x)) as in the paper; 'pre', x + f(norm(x)) with one more norm
      behind encoder and decoder, which trains without warm-up.
    norm_epsilon: Added to the variance in the norms.
    position_embedding: 'sincos' (sines, then cosines), 'sincos_interleaved' or 'learned'.
    max_length: Tokens of the longest sentence, where positions are learned.
    tied: Whether one matrix embeds source and target and makes logits (section 3.4), instead of
      three.
    logits_bias: Whether logits have a learned bias, as Marian's; the paper says nothing of one.
    mlp: 'relu', 'gelu', 'gelu_tanh', 'swish' or 'swiglu'.
    dropout_rate: Probability of dropout on embedded tokens and on branches.
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
  size = pick_size('Transformer', VARIANTS, variant, **sizes)
  if size.width % 2:
    raise UserError(f'Transformer: width={size.width} must be even, for sines and cosines')
  check_words(CHOICES, norm_place=norm_place, position_embedding=position_embedding)
  compute = compute_dtype(dtype)
  new_norm = partial(make_norm, 'layernorm', norm_epsilon, compute)
  # New parts at every place: Flax shares the parameters of one module that stands in two.
  new_embed = partial(TokenEmbed, vocab_size, size.width, compute)

  new_block = partial(_block, size, new_norm, norm_place, mlp, dropout_rate, compute)
  new_stack = partial(Stack, depth=size.depth, scan=scan, remat=check_remat(remat))
  logits = jnp.promote_types(compute, jnp.float32)
  return Transformer(
    source=new_embed(logits_bias=tied and logits_bias),
    target=None if tied else new_embed(),
    head=None if tied else Dense(vocab_size, 1, logits_bias, logits, XAVIER),
    encoder=new_stack(new_block(decodes=False)),
    decoder=new_stack(new_block(decodes=True)),
    norm=new_norm() if norm_place == 'pre' else None,
    positions=position_embedding,
    max_length=max_length,
    dropout_rate=dropout_rate,
  )


def _block(size, new_norm, norm_place, mlp, dropout_rate, compute, decodes) -> Block:
  return Block(
    SelfAttention(size.num_heads, dtype=compute, causal=decodes),
    make_mlp(mlp, size.mlp_dim, dtype=compute),
    new_norm(),
    dropout_rate=dropout_rate,
    norm_place=norm_place,
    cross=CrossAttention(size.num_heads, dtype=compute) if decodes else None,
  )
