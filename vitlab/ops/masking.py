"""Which tokens a masked language model has to guess (BERT, arXiv:1810.04805, section 3.1).

A fixed number of places per row, so that logits are made for these alone: with 15 % of the tokens
masked, a seventh of the product with the vocabulary. Rows that have fewer tokens use fewer of them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Shaped

Key = Shaped[Array, '']  # a typed PRNG key


class Places(NamedTuple):
  """Places of a batch in rising order, and which of them count.

  Attributes:
    index: Positions in the row.
    counts: Which are to be guessed; the others fill the row up.
  """

  index: Int[Array, 'b m']
  counts: Bool[Array, 'b m']


def choose_places(
  key: Key,
  allowed: Bool[Array, 'b t'],
  share: float,
  most: int,
  begins: Bool[Array, 'b t'] | None = None,
) -> Places:
  """Chooses the tokens to guess: of every row the given share of those allowed, at least one.

  Args:
    key: Randomness of this step.
    allowed: True for tokens that may be chosen: no padding, no [CLS], no [SEP].
    share: Share of the allowed tokens, 0.15 in the paper; rounded to whole tokens.
    most: Number of places m, the limit of what a row can have.
    begins: True where a word begins: whole words are chosen then, in random order, up to the first
      that would make them too many. None: tokens are chosen one by one.
  """
  b, t = allowed.shape
  allowed_count = allowed.sum(axis=-1)
  wanted = jnp.clip(jnp.round(share * allowed_count), 1, most).astype(jnp.int32)
  chance = jax.random.uniform(key, (b, t))
  if begins is None:
    begins = jnp.ones_like(allowed)
  word = jnp.maximum(jnp.cumsum(begins, axis=-1) - 1, 0)
  chance = jnp.take_along_axis(chance, word, axis=-1)
  order = jnp.lexsort((word, chance, ~allowed), axis=-1)  # words stay together, even on a tie
  word = jnp.take_along_axis(word, order, axis=-1)
  rank = jnp.arange(t)
  ends = jnp.concatenate([word[:, 1:] != word[:, :-1], jnp.ones((b, 1), bool)], axis=-1)
  ends |= rank == allowed_count[:, None] - 1
  # The last place of a token's word, in this order: the word is taken if it fits as a whole.
  last = jax.lax.cummin(jnp.where(ends, rank, t), axis=1, reverse=True)
  taken = (last < wanted[:, None]) & (rank < allowed_count[:, None])
  index, counts = order[:, :most], taken[:, :most]
  rising = jnp.argsort(jnp.where(counts, index, t), axis=-1)
  return Places(*(jnp.take_along_axis(x, rising, axis=-1) for x in (index, counts)))


def corrupt(
  key: Key, tokens: Int[Array, 'b t'], places: Places, mask_token: int, vocab_size: int
) -> Int[Array, 'b t']:
  """The tokens as the model reads them: of those to guess 80 % become the mask, 10 % any token of
  the vocabulary, and 10 % stay.

  Args:
    key: Randomness of this step.
    tokens: Numbers of the tokens.
    places: Which are to be guessed.
    mask_token: Number of [MASK].
    vocab_size: Number of tokens in the vocabulary.
  """
  how_key, token_key = jax.random.split(key)
  shape = places.index.shape
  how, random = (
    jax.random.uniform(how_key, shape),
    jax.random.randint(token_key, shape, 0, vocab_size),
  )
  old = jnp.take_along_axis(tokens, places.index, axis=-1)
  new = jnp.where(how < 0.8, mask_token, jnp.where(how < 0.9, random, old))
  rows = jnp.arange(tokens.shape[0])[:, None]
  return tokens.at[rows, places.index].set(jnp.where(places.counts, new, old).astype(tokens.dtype))
