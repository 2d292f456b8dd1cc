"""What may be said next: the distribution of a token, what is kept of it, and draws from that.

A log-probability is that of the model as it is: padding and the beginning of a sentence, which
nobody says, are left out afterwards, so that scoring a sentence again gives the same number.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from vitlab.ops.tokens import BOS, PAD


def sayable(logits: Float[Array, '*b vocab']) -> Float[Array, '*b vocab']:
  """Log-probabilities in float32; -inf for padding and the beginning."""
  ids = jnp.arange(logits.shape[-1])
  log_probability = jax.nn.log_softmax(logits.astype(jnp.float32))
  return jnp.where((ids == PAD) | (ids == BOS), -jnp.inf, log_probability)


def argmax(values: Float[Array, '*b n']) -> Int[Array, '*b']:
  """Where the largest value stands, the first of several; the last place if one is NaN.

  XLA:CPU vectorises this, but not an argmax: ten times as fast for a large vocabulary.
  """
  ids = jnp.arange(values.shape[-1], dtype=jnp.int32)
  found = values == jnp.max(values, axis=-1, keepdims=True)
  return jnp.min(jnp.where(found, ids, values.shape[-1] - 1), axis=-1)


def keep_top_k(logits: Float[Array, '*b vocab'], k: int) -> Float[Array, '*b vocab']:
  """The k largest, -inf elsewhere; of equals the first, as argmax has it."""
  return jnp.where(_rank(logits) < k, logits, -jnp.inf)


def keep_top_p(logits: Float[Array, '*b vocab'], p: float) -> Float[Array, '*b vocab']:
  """The nucleus (Holtzman et al. 2019, arXiv:1904.09751, section 3.1), -inf elsewhere.

  It is the smallest set of tokens whose probability reaches p, and never empty; of equals the
  first.
  """
  rank = _rank(logits)
  # Summed from the least probable, as Hugging Face does: what is so improbable goes, in all at most
  # 1 - p of it. Sums of what is kept would be rounded otherwise where they reach p exactly.
  rest = jnp.cumsum(jax.nn.softmax(jnp.sort(logits, axis=-1)), axis=-1)
  rest = jnp.take_along_axis(rest, logits.shape[-1] - 1 - rank, axis=-1)
  return jnp.where((rest > 1 - p) | (rank == 0), logits, -jnp.inf)


def _rank(logits: Float[Array, '*b vocab']) -> Int[Array, '*b vocab']:
  """0 for the largest, 1 for the next."""
  return jnp.argsort(jnp.argsort(-logits, axis=-1), axis=-1)


def draw(
  keys: Key[Array, ' b'],
  log_probability: Float[Array, 'b vocab'],
  *,
  temperature: float = 1.0,
  top_k: int = 0,
  top_p: float = 1.0,
) -> Int[Array, ' b']:
  """A token each, from what temperature, top-k and top-p leave, in this order.

  Args:
    keys: One for each.
    log_probability: From `sayable`.
    temperature: Divides it: below 1 prefers the probable, above 1 is nearer to chance.
    top_k: How many tokens may be drawn; 0: all.
    top_p: The probability of those that may be drawn; 1: all.
  """
  logits = log_probability / temperature
  if top_k:
    logits = keep_top_k(logits, top_k)
  if top_p < 1:
    logits = keep_top_p(logits, top_p)
  return jax.vmap(jax.random.categorical)(keys, logits)


def keys_of(seed: int, tokens: Int[Array, 'b s']) -> Key[Array, ' b']:
  """A key for each sentence, folded from what it says.

  Neither its place in a batch, nor its neighbours, nor its padding changes what is drawn with it;
  where the same sentence comes again, the same is drawn again.
  """

  def fold(key, token):
    return jnp.where(token == PAD, key, jax.random.fold_in(key, token)), None

  return jax.vmap(lambda row: jax.lax.scan(fold, jax.random.key(seed), row)[0])(tokens)
