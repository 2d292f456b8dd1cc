"""Attention among tokens that hash alike, and among neighbours: what the Reformer is made of.

Kitaev et al. 2020, 'Reformer: The Efficient Transformer' (arXiv:2001.04451), section 2. Queries are
keys, too, of unit length. Vectors of a small angle mostly fall into one bucket of a random hash, so
that tokens find what they look for nearby when they are sorted by their buckets: in their own chunk
and the one before it. Time grows as t log t and memory as t. What one round of hashing misses
another finds.

All is a function of its arguments: rotations are drawn elsewhere, and buckets that were found can
be given again. Letters beside the usual ones: h round of hashing · c chunk, of all rounds behind
one another · l place in a chunk.
"""

import operator
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from vitlab.ops.attention import attend, attention_weights
from vitlab.ops.matmul import matmul
from vitlab.ops.precision import wide

Mixed = tuple[Float[Array, 'b n t v'], Float[Array, 'b n t t']]
HIDDEN = -1e9  # logit of what may not be seen: finite, for rows of -inf are NaN
ITSELF = -1e5  # of the own position: seen where there is nothing else, as by the first token
EPSILON = 1e-6


def default_buckets(length: int, chunk: int, longest: int) -> tuple[int, ...]:
  """A power of two, one to two buckets for every half of a chunk; in two factors where it is large.

  Args:
    length: Tokens of the text.
    chunk: Tokens of a chunk.
    longest: Tokens of the longest text, which decides what is large.
  """
  power = (2 * (length // chunk)).bit_length() - 1
  if 2**power <= 2 * max(int((longest // chunk) ** 0.5), chunk):
    return (2**power,)
  return 2 ** (power // 2), 2 ** (power - power // 2)


def hashed(
  x: Float[Array, 'b n t k'],
  rotations: Float[Array, 'n k h r'],
  sizes: Sequence[int],
  segments: Int[Array, 'b t'] | None = None,
) -> Int[Array, 'b n h t']:
  """The bucket of every vector in every round: argmax [xR; -xR] (section 2).

  Args:
    x: Vectors, of any length.
    rotations: Random normal numbers R; 2 r is the sum of the sizes.
    sizes: An even number of buckets; or several, whose combinations are the buckets: few rotations
      then make many.
    segments: See `lsh_attend`; padding gets a bucket behind all others.

  Returns:
    Numbers that go on from round to round: no two rounds share a bucket.
  """
  rotated = jnp.einsum('bntk,nkhr->bnhtr', jax.lax.stop_gradient(x), rotations)
  bucket, count, first = 0, 1, 0
  for size in sizes:
    part = rotated[..., first : first + size // 2]
    bucket += count * jnp.argmax(jnp.concatenate([part, -part], axis=-1), axis=-1)
    count, first = count * size, first + size // 2
  if segments is not None:
    bucket = jnp.where(segments[:, None, None] > 0, bucket, count)
  return bucket + (count + 1) * jnp.arange(rotations.shape[2])[:, None]


def lsh_attend(
  qk: Float[Array, 'b n t k'],
  v: Float[Array, 'b n t v'],
  buckets: Int[Array, 'b n h t'],
  chunk: int,
  *,
  causal: bool = False,
  segments: Int[Array, 'b t'] | None = None,
  same_bucket: bool = False,
  count_once: bool = False,
  epsilon: float = EPSILON,
) -> Mixed:
  """Attention within chunks of the tokens that are sorted by bucket, and to one chunk back.

  Args:
    qk: Queries; of unit length they are the keys.
    v: Values.
    buckets: See `hashed`.
    chunk: Tokens of a chunk, a divisor of t that is smaller than t.
    causal: Whether no token sees what stands behind it in the text. Which of those before it share
      its chunk still depends on all tokens, on the later ones too.
    segments: Number of the document of each token, of which none sees another; 0: padding.
    same_bucket: Whether a token sees its own bucket alone (equation 4), or, as in Hugging Face, all
      of both chunks.
    count_once: Whether a pair that meets several times counts as one (N_ij of equation 5).
    epsilon: Added to the mean square of a query where it becomes a key.

  Returns:
    The mixed values, and the weights of all rounds together. Inside `jit` nobody pays for the
    weights who does not read them.
  """
  n, t = qk.shape[1:3]
  row = Chunks.sort(buckets, chunk)
  query, key, value = row.take(qk), row.take(unit(qk, epsilon)), row.take(v)
  logits = matmul(query, row.and_back(key).mT, jnp.promote_types(qk.dtype, jnp.float32))
  if count_once:
    logits -= jnp.log(_meetings(row, buckets if same_bucket else None).astype(logits.dtype))

  token, seen = row.cut(row.order), jnp.array(True)
  if causal:
    seen &= row.pairs(operator.ge, token)
  if segments is not None:
    seen &= row.pairs(operator.eq, row.take(jnp.repeat(segments[:, None], n, axis=1)))
  if same_bucket:
    seen &= row.pairs(operator.eq, row.cut(jnp.take_along_axis(buckets, row.order, axis=-1)))
  itself = row.pairs(operator.eq, token)
  logits = jnp.where(itself, ITSELF, jnp.where(seen, logits, HIDDEN))

  # Not exp(logits - total): beside ITSELF float32 has two digits left behind the point.
  weights, total = jax.nn.softmax(logits, axis=-1), jax.nn.logsumexp(logits, axis=-1)
  mixed = row.put_back(matmul(weights.astype(v.dtype), row.and_back(value)))

  share = jax.nn.softmax(row.put_back(total), axis=2)  # of each round: exp(z_r) of sum exp(z_r)
  weights *= row.cut(jnp.take_along_axis(share, row.order, axis=-1))[..., None]
  return (
    jnp.einsum('bnht,bnhtv->bntv', share.astype(v.dtype), mixed),
    _spread(weights, token, row.and_back(token), t),
  )


class Chunks(NamedTuple):
  """The tokens of every round, sorted and cut: one row of chunks, a round behind the other.

  Attributes:
    order: Place among the sorted -> token, of every round.
    place: Token -> place among the sorted.
    length: Tokens of a chunk.
  """

  order: Int[Array, 'b n h t']
  place: Int[Array, 'b n h t']
  length: int

  @classmethod
  def sort(cls, buckets: Int[Array, 'b n h t'], length: int) -> 'Chunks':
    """By bucket; within one as in the text."""
    order = jnp.argsort(buckets, axis=-1, stable=True)
    return cls(order, jnp.argsort(order, axis=-1), length)

  def cut(self, x: Shaped[Array, 'b n h t ...']) -> Shaped[Array, 'b n c l ...']:
    """What is sorted, in chunks."""
    b, n, h, t, *rest = x.shape
    return x.reshape(b, n, h * t // self.length, self.length, *rest)

  def take(self, x: Shaped[Array, 'b n t ...']) -> Shaped[Array, 'b n c l ...']:
    """What tokens have, sorted in every round, in chunks."""
    return self.cut(jax.vmap(jax.vmap(lambda x, order: x[order]))(x, self.order))

  def put_back(self, x: Shaped[Array, 'b n c l ...']) -> Shaped[Array, 'b n h t ...']:
    """What places have, as the tokens stand in the text."""
    x = x.reshape(*self.place.shape, *x.shape[4:])
    return jax.vmap(jax.vmap(jax.vmap(lambda x, place: x[place])))(x, self.place)

  def and_back(self, x: Shaped[Array, 'b n c l ...']) -> Shaped[Array, 'b n c s ...']:
    """Each chunk behind the one before: before the first of a round lies the last of another."""
    return jnp.concatenate([jnp.roll(x, 1, axis=2), x], axis=3)

  def pairs(
    self, compare: Callable[[Array, Array], Array], x: Shaped[Array, 'b n c l']
  ) -> Shaped[Array, 'b n c l s']:
    """Of what queries have compared with what the keys have that they can see."""
    return compare(x[..., None], self.and_back(x)[..., None, :])


def _meetings(row: Chunks, buckets: Int[Array, 'b n h t'] | None) -> Int[Array, 'b n c l s']:
  """How often queries find a key in all rounds, at least once: in their chunk and the one before.

  Where buckets are given they have to be the same.
  """
  rounds, t = row.place.shape[2:]
  per_round = t // row.length
  chunk = row.place // row.length + per_round * jnp.arange(rounds)[:, None]
  of_query = row.take(chunk.mT)  # b n c l h
  of_key = row.and_back(of_query)[..., None, :, :]
  of_query, behind_key = of_query[..., None, :], (of_key + 1) % (rounds * per_round)
  found = (of_query == of_key) | (of_query == behind_key)
  if buckets is not None:
    own = row.take(buckets.mT)
    found &= own[..., None, :] == row.and_back(own)[..., None, :, :]
  elif rounds > 1:  # the first chunk of a round finds the last of the round before
    found = jnp.concatenate([found, of_query == jnp.roll(behind_key, 1, axis=-1)], axis=-1)
  return jnp.maximum(found.sum(-1), 1)


def shared_attend(
  qk: Float[Array, 'b n t k'],
  v: Float[Array, 'b n t v'],
  *,
  causal: bool = False,
  segments: Int[Array, 'b t'] | None = None,
  epsilon: float = EPSILON,
) -> Mixed:
  """What `lsh_attend` comes near to: attention of every token to all, by queries that are keys."""
  mask = None if segments is None else (segments[:, :, None] == segments[:, None, :])[:, None]
  bias = ITSELF * jnp.eye(qk.shape[2], dtype=qk.dtype)[None, None]
  options = dict(mask=mask, bias=bias, causal=causal, scale=1.0)
  keys = unit(qk, epsilon)
  return attend(qk, keys, v, **options), attention_weights(qk, keys, **options)


def local_attend(
  q: Float[Array, 'b n t k'],
  k: Float[Array, 'b n t k'],
  v: Float[Array, 'b n t v'],
  chunk: int,
  *,
  causal: bool = False,
  segments: Int[Array, 'b t'] | None = None,
) -> Mixed:
  """Attention within chunks of the text, and to one chunk back; arguments as of `lsh_attend`.

  The first chunk looks at the last one, unless it is causal. Of one chunk all see all.
  """
  b, n, t, _ = q.shape
  if t <= chunk:
    mask = None if segments is None else (segments[:, :, None] == segments[:, None, :])[:, None]
    options = dict(mask=mask, causal=causal)
    return attend(q, k, v, **options), attention_weights(q, k, **options)

  def cut(x):  # b n t k -> (b c) n l k
    x = x.reshape(b, x.shape[1], t // chunk, chunk, -1)
    return jnp.einsum('bnclk->bcnlk', x).reshape(-1, x.shape[1], chunk, x.shape[-1])

  def and_back(x):
    back = jnp.roll(x.reshape(b, -1, *x.shape[1:]), 1, axis=1).reshape(x.shape)
    return jnp.concatenate([back, x], axis=2)

  def pairs(compare, x):  # b t -> (b c) 1 l 2l
    x = cut(x[:, None, :, None])
    return compare(x, and_back(x).mT)

  token = jnp.broadcast_to(jnp.arange(t), (b, t))
  mask = pairs(operator.ge, token) if causal else None
  if segments is not None:
    one = pairs(operator.eq, segments)
    mask = one if mask is None else mask & one
  q, k, v = cut(q), and_back(cut(k)), and_back(cut(v))
  mixed = jnp.einsum(
    'bcnlv->bnclv', attend(q, k, v, mask=mask).reshape(b, -1, n, chunk, v.shape[-1])
  )
  weights = attention_weights(q, k, mask=mask).reshape(b, -1, n, chunk, 2 * chunk)
  token = cut(token[:, None, :, None])
  i, j = (jnp.repeat(x.reshape(b, 1, t // chunk, -1), n, 1) for x in (token, and_back(token)))
  weights = _spread(jnp.einsum('bcnls->bncls', weights), i, j, t)
  return mixed.reshape(b, n, t, -1), weights


def unit(x: Float[Array, '*b k'], epsilon: float = EPSILON) -> Float[Array, '*b k']:
  """x / |x|, with epsilon added to the mean square of x."""
  exact = wide(x)
  square = jnp.square(exact).mean(-1, keepdims=True)
  return (exact * jax.lax.rsqrt(square + epsilon) * x.shape[-1] ** -0.5).astype(x.dtype)


def _spread(
  weights: Float[Array, 'b n c l s'],
  i: Int[Array, 'b n c l'],
  j: Int[Array, 'b n c s'],
  t: int,
) -> Float[Array, 'b n t t']:
  """The weights of chunks where they belong in a table of all tokens; those of a pair add up."""
  b, n, *_ = weights.shape
  row, head = jnp.arange(b)[:, None, None, None, None], jnp.arange(n)[:, None, None, None]
  table = jnp.zeros((b, n, t, t), weights.dtype)
  return table.at[row, head, i[..., None], j[..., None, :]].add(weights)
