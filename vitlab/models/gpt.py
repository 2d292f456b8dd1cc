"""GPT: the decoder of a Transformer as a language model.

GPT-1 (Radford et al. 2018, 'Improving Language Understanding by Generative Pre-Training') has the
norms of the Transformer, GPT-2 (Radford et al. 2019, 'Language Models are Unsupervised Multitask
Learners') has them in front of the branches and one more at the end. While it learns, every token
of a text is read at once and says what follows it.

In: tokens `b t`, of one text each, or of several documents (`segments`). Out: float32 logits of the
next token and a dict of every intermediate, the attention among them. Loads GPT-1 and GPT-2 of
Hugging Face (`vitlab.pretrained.families.gpt`).
"""

from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vitlab.errors import UserError
from vitlab.layers.attention import KeysAndValues, SelfAttention
from vitlab.layers.blocks import Block
from vitlab.layers.choices import Size, check_rates, check_words, compute_dtype, pick_size
from vitlab.layers.dense import Dense
from vitlab.layers.embeddings import TokenEmbed, TokenPositions
from vitlab.layers.mlp import make_mlp
from vitlab.layers.norms import make_norm
from vitlab.layers.stack import Stack, check_remat
from vitlab.ops.positions import places_in_segments, rope_1d

VARIANTS = {
  'mu': Size(16, 2, 2, 64),  # for tests
  'tiny': Size(128, 4, 4, 512),  # a character model for two cores, as nanoGPT's
  'small': Size(768, 12, 12, 3072),  # table 2 of GPT-2: 124 million parameters, here to 'xl'
  'medium': Size(1024, 24, 16, 4096),
  'large': Size(1280, 36, 20, 5120),
  'xl': Size(1600, 48, 25, 6400),
  'gpt': Size(768, 12, 12, 3072),  # GPT-1: 117 million
}
CHOICES = dict(norm_place=('post', 'pre'), position_embedding=('learned', 'sincos', 'rope'))
STDDEV = 0.02  # of all initial matrices, GPT-1 and GPT-2


class State(NamedTuple):
  """All that is kept from token to token.

  Attributes:
    past: Keys and values in every block of what has been read; zeros where nothing has.
    length: How many tokens have been read.
  """

  past: tuple[KeysAndValues, ...]
  length: Int[Array, '']

  def take(self, rows: Int[Array, ' rows']) -> 'State':
    """Of some of the texts, which are all as long."""
    return State(jax.tree.map(lambda x: x[rows], self.past), self.length)


class GPT(nn.Module):
  """Tokens and their places, a stack of causal blocks, logits.

  Attributes:
    token_embedding: Embeds tokens.
    position_embedding: What is added to them; None: nothing.
    decoder: The blocks; each token sees itself and those before it.
    norm: Behind them; None: none.
    head: What it shows -> logits; None: by the matrix that embeds the tokens.
    rope_dim: Channels of a head that turn with the place of their token; 0: none do.
    dropout_rate: On embedded tokens.
  """

  token_embedding: TokenEmbed
  position_embedding: TokenPositions | None
  decoder: Stack
  norm: nn.Module | None
  head: nn.Module | None
  rope_dim: int = 0
  dropout_rate: float = 0.0

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
      tokens: Of texts.
      train: Whether dropout acts, with the rng 'dropout'.
      segments: The number of the document that each token is of. Positions restart with every
        document, and none sees another. None: each row is one.

    Returns:
      Logits in at least float32, and 'logits', 'features' (what the head sees), 'blocks' (what each
      block gives out) and 'attention' (a list of the weights of all blocks, [b n t t]).
    """
    position = mask = None
    if segments is not None:
      position = places_in_segments(segments)
      mask = (segments[:, :, None] == segments[:, None, :])[:, None]
    x = self._embed(tokens, 0, position)
    x = self.dropout(x, deterministic=not train)
    x, blocks = self.decoder(x, train, mask=mask, **self._angles(x, 0, position))
    x, logits = self._show(x)
    attention = [block['attention'] for block in blocks]
    return logits, dict(logits=logits, features=x, blocks=blocks, attention=attention)

  def start(self, batch_size: int, max_length: int) -> State:
    """The state before the first token of texts that may become so long."""
    if self.position_embedding is not None:
      self.position_embedding.check(max_length)
    attention = self.decoder.block.attention
    heads, width = attention.num_heads, self.token_embedding.width
    shape = (batch_size, attention.num_kv_heads or heads, max_length, width // heads)
    # As many places as there may be tokens: keys and values of a later step are written in place.
    new = lambda: jnp.zeros(shape, attention.dtype)  # noqa: E731
    past = tuple((new(), new()) for _ in range(self.decoder.depth))
    return State(past, jnp.zeros((), jnp.int32))

  def step(
    self, state: State, tokens: Int[Array, 'b t']
  ) -> tuple[Float[Array, 'b t vocab'], State]:
    """Some tokens more, a whole prompt or one: logits of what follows each, and the next state."""
    x = self._embed(tokens, state.length, None)
    x, blocks = self.decoder(
      x,
      each=dict(past=state.past),
      length=state.length,
      **self._angles(x, state.length, None),
    )
    past = tuple((block['k'], block['v']) for block in blocks)
    return self._show(x)[1], State(past, state.length + tokens.shape[1])

  def _embed(self, tokens: Int[Array, 'b t'], first: Any, position: Any) -> Float[Array, 'b t d']:
    """Tokens, and where they are, from position `first` on or where `position` says."""
    x, places = self.token_embedding(tokens), self.position_embedding
    if places is None:
      return x
    if places.kind == 'sincos':  # which are as long as in the Transformer, and so are its tokens
      x *= jnp.asarray(x.shape[-1] ** 0.5, x.dtype)
    return x + places(x.shape[1], x.dtype, first, position)

  def _angles(self, x: Float[Array, 'b t d'], first: Any, position: Any) -> dict[str, Array]:
    """By which queries and keys turn, as an input of the blocks."""
    if not self.rope_dim:
      return {}
    place = first + jnp.arange(x.shape[1]) if position is None else position[:, None]
    return dict(angles=rope_1d(place, self.rope_dim, dtype=jnp.promote_types(x.dtype, jnp.float32)))

  def _show(self, x: Float[Array, 'b t d']) -> tuple[Array, Float[Array, 'b t vocab']]:
    """What the head sees, and what it makes of it: the logits."""
    x = x if self.norm is None else self.norm(x)
    return x, self.token_embedding.logits(x) if self.head is None else self.head(x)


def make(
  vocab_size: int,
  variant: str = 'small',
  *,
  context: int = 1024,
  width: int | None = None,
  depth: int | None = None,
  num_heads: int | None = None,
  num_kv_heads: int | None = None,
  mlp_dim: int | None = None,
  norm_place: str | None = None,
  norm: str = 'layernorm',
  norm_epsilon: float = 1e-5,
  qk_norm: bool = False,
  position_embedding: str = 'learned',
  tied: bool = True,
  mlp: str = 'gelu_tanh',
  dropout_rate: float = 0.1,
  attention_dropout_rate: float = 0.0,
  scan: bool = False,
  remat: str = '',
  dtype: str = 'float32',
) -> GPT:
  """Composes a GPT.

  Args:
    vocab_size: Tokens of the vocabulary; None: the data say it.
    variant: A size of `VARIANTS`; 'gpt' is GPT-1.
    context: Tokens of the longest text, where positions are learned; None: the data say it.
    width: Channels of a token, instead of the variant's.
    depth: Blocks, instead of the variant's.
    num_heads: Heads, instead of the variant's.
    num_kv_heads: Heads of keys and values, which several of queries share (grouped queries,
      arXiv:2305.13245); None: as many.
    mlp_dim: Hidden units of the mlps, instead of the variant's.
    norm_place: 'pre', x + f(norm(x)) with one more norm at the end, as in GPT-2, or 'post',
      norm(x + f(x)), as in GPT-1; None: as the variant.
    norm: 'layernorm' or 'rmsnorm'.
    norm_epsilon: Added to the variance in the norms.
    qk_norm: Whether the queries and keys of each head are normalised.
    position_embedding: 'learned'; 'sincos', fixed, with tokens times sqrt(width) as in the
      Transformer; or 'rope', which turns queries and keys.
    tied: Whether the matrix that embeds tokens makes the logits too, instead of another one.
    mlp: 'gelu_tanh', 'gelu', 'relu', 'swish' or 'swiglu'.
    dropout_rate: Probability of dropout on embedded tokens and on branches.
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
  size = pick_size('GPT', VARIANTS, variant, **sizes)
  norm_place = place_norms(variant, norm_place)
  check_words(CHOICES, norm_place=norm_place, position_embedding=position_embedding)
  _check(size, position_embedding, num_kv_heads, context)
  compute = compute_dtype(dtype)
  new_norm = partial(make_norm, norm, norm_epsilon, compute)
  new_attention = partial(
    SelfAttention,
    qk_norm=new_norm() if qk_norm else None,
    num_kv_heads=num_kv_heads,
    dropout_rate=attention_dropout_rate,
  )
  block = _block(size, new_attention, new_norm, norm_place, mlp, dropout_rate, compute)
  rope = position_embedding == 'rope'
  head_dtype = jnp.promote_types(compute, jnp.float32)
  return GPT(
    TokenEmbed(vocab_size, size.width, compute, stddev=STDDEV),
    None if rope else TokenPositions(position_embedding, size.width, context, 'context'),
    Stack(block, size.depth, scan=scan, remat=check_remat(remat)),
    new_norm() if norm_place == 'pre' else None,
    None if tied else Dense(vocab_size, 1, False, head_dtype, nn.initializers.normal(STDDEV)),
    rope_dim=size.width // size.num_heads if rope else 0,
    dropout_rate=dropout_rate,
  )


def _block(size, new_attention, new_norm, norm_place, mlp, dropout_rate, compute) -> Block:
  # Branches start smaller the more of them there are: their sum is as large (GPT-2, section 2.3).
  init = nn.initializers.normal(STDDEV)
  last_init = nn.initializers.normal(STDDEV / (2 * size.depth) ** 0.5)
  inits = dict(kernel_init=init, out_init=last_init)
  return Block(
    new_attention(size.num_heads, dtype=compute, causal=True, **inits),
    make_mlp(mlp, size.mlp_dim, dtype=compute, kernel_init=init, down_init=last_init),
    new_norm(),
    dropout_rate=dropout_rate,
    norm_place=norm_place,
  )


def place_norms(variant: str, norm_place: str | None) -> str:
  """The `norm_place` of `make`, by the variant where it is None."""
  return norm_place or ('post' if variant == 'gpt' else 'pre')


def _check(size: Size, position_embedding: str, num_kv_heads: int | None, context: int) -> None:
  """Raises UserError where these numbers do not go together."""
  divided = dict(sincos=size.width, rope=size.width // size.num_heads).get(position_embedding, 0)
  if divided % 2:
    raise UserError(
      f'GPT: position_embedding={position_embedding} needs an even width (of a head, for rope), '
      f'not {divided}'
    )
  if num_kv_heads is not None and (num_kv_heads < 1 or size.num_heads % num_kv_heads):
    raise UserError(
      f'GPT: num_kv_heads={num_kv_heads} does not divide the {size.num_heads} heads of queries'
    )
  if context < 1:
    raise UserError(f'GPT: context={context} needs to be 1 or more')
