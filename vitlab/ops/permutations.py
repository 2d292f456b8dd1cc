"""In which order a permutation language model predicts a text (XLNet, arXiv:1906.08237).

Every token has a rank. Most are context: rank 0, which all may see. Some, in spans, are predicted
one after the other, in random order: ranks 1, 2, .... The content of a token, which knows what it
is, sees the ranks up to its own; a query, which knows only where it stands, sees the ranks below:

  rank     0 0 2 0 1        the query of rank 2 sees all but itself, that of rank 1 the context

A query that sees nothing would look everywhere alike (as in the original and in Hugging Face) and
so at itself: where a row has no context, none of its tokens counts.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from vitlab.ops.masking import Places

Key = Shaped[Array, '']  # a typed PRNG key


def choose_spans(
  key: Key,
  allowed: Bool[Array, 'b t'],
  share: float,
  most: int,
  longest: int = 5,
  begins: Bool[Array, 'b t'] | None = None,
) -> Places:
  """Chooses the tokens to predict: spans of 1 to `longest` words, long ones less often.

  As in the original: a row is divided into pieces of L / share words, L with probability ~ 1 / L,
  each of which holds one span of L. Here it is divided as a ring from a random word on, so that no
  place is more likely than another.

  Args:
    key: Randomness of this step.
    allowed: True for tokens that may be chosen: no padding, no special tokens.
    share: Share of the tokens that is chosen, 1/6 in the paper.
    most: Number of places m of a row; of spans that are more the last ones, on the ring, are left.
    longest: Words of the longest span.
    begins: True where a word begins; None: every token is a word.
  """
  b, t = allowed.shape
  length_key, place_key, turn_key = jax.random.split(key, 3)
  begins = jnp.ones_like(allowed) if begins is None else begins
  word = jnp.maximum(jnp.cumsum(begins, axis=-1) - 1, 0)
  words = word[:, -1:] + 1
  word = (word - jax.random.randint(turn_key, (b, 1), 0, words)) % words

  pieces = t // round(1 / share) + 1  # enough even if every span is one word
  chance = 1 / jnp.arange(1, longest + 1)
  length = 1 + jax.random.categorical(length_key, jnp.log(chance), shape=(b, pieces))
  piece = jnp.round(length / share).astype(jnp.int32)
  ends = jnp.cumsum(piece, axis=-1)
  first = ends - piece + jax.random.randint(place_key, piece.shape, 0, piece - length + 1)
  number = jax.vmap(lambda ends, word: jnp.searchsorted(ends, word, side='right'))(ends, word)
  first, length = (jnp.take_along_axis(x, number, axis=-1) for x in (first, length))
  chosen = allowed & (first <= word) & (word < first + length)

  index = jnp.argsort(jnp.where(chosen, word, t), axis=-1)[:, :most]
  counts = jnp.take_along_axis(chosen, index, axis=-1)
  rising = jnp.argsort(jnp.where(counts, index, t), axis=-1)
  return Places(*(jnp.take_along_axis(x, rising, axis=-1) for x in (index, counts)))


def draw_order(
  key: Key, places: Places, real: Bool[Array, 'b t']
) -> tuple[Int[Array, 'b t'], Places]:
  """Ranks of all tokens, and the places of which every one has something to see.

  Args:
    key: Randomness of this step.
    places: The tokens to predict.
    real: True where a token is no padding.
  """
  rows = jnp.arange(real.shape[0])[:, None]
  chance = jax.random.uniform(key, places.index.shape)
  rank = 1 + jnp.argsort(jnp.argsort(chance, axis=-1), axis=-1)
  order = jnp.zeros(real.shape, rank.dtype)
  order = order.at[rows, places.index].set(jnp.where(places.counts, rank, 0))
  context = jnp.any(real & (order == 0), axis=-1, keepdims=True)
  return order, places._replace(counts=places.counts & context)


def visible(
  order: Int[Array, 'b t'], real: Bool[Array, 'b t'], places: Int[Array, 'b m'] | None = None
) -> Bool[Array, 'b rows t']:
  """Which tokens may be seen: of every content, [t], and below these of every query, [m].

  Args:
    order: The rank of every token.
    real: True where a token is no padding, which nothing sees.
    places: Where the queries stand; None: there are none.
  """
  seen = order[:, None] <= order[:, :, None]
  if places is not None:
    rank = jnp.take_along_axis(order, places, axis=-1)
    seen = jnp.concatenate([seen, order[:, None] < rank[:, :, None]], axis=1)
  return seen & real[:, None]


def at_places(x: Float[Array, 'b t d'], places: Int[Array, 'b m']) -> Float[Array, 'b m d']:
  """The vectors at these places."""
  return jnp.take_along_axis(x, places[..., None], axis=1)
