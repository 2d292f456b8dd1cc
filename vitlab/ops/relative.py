"""Attention that knows how far apart two tokens are, and not where they stand.

Transformer-XL (arXiv:1901.02860) and XLNet (arXiv:1906.08237) compare a query with the sinusoid of
every distance once, [t r], and then look up, for every key, the score of its distance, [t s]. The
queries are the last of the keys, which a memory precedes: query i stands at place s - t + i, and a
distance counts how far a key lies before it, negative behind it.

A table runs from its largest distance down to its smallest, as the keys run from the oldest:

  Transformer-XL  s - 1, ..., 0          no token looks ahead
  XLNet           s, ..., 1 - t          the order of reading is none of the text's

so that the score of key j is `first` - distance columns into the table.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from vitlab.ops.positions import sincos_1d


def distances(queries: int, keys: int) -> Int[np.ndarray, 't s']:
  """How far before each query each key lies; the queries are the last of the keys."""
  return (keys - queries + np.arange(queries))[:, None] - np.arange(keys)


def sincos_of_distances(
  first: int, last: int, width: int, clamp: int | None = None, dtype: Any = jnp.float32
) -> Float[Array, 'r d']:
  """The sinusoids [sin | cos] of the distances first, first - 1, ..., last.

  Args:
    first: The largest distance.
    last: The smallest.
    width: Channels of a sinusoid.
    clamp: The distance beyond which all are the same one, before and behind; None: none is.
    dtype: Type of the sinusoids.
  """
  run = np.arange(first, last - 1, -1)
  run = run if clamp is None else np.clip(run, -clamp, clamp)
  return sincos_1d(jnp.asarray(run), width, dtype=dtype)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def by_key(scores: Float[Array, '*b t r'], keys: int, first: int) -> Float[Array, '*b t s']:
  """Scores of distances -> scores of keys: a query's row says what every distance is worth to it.

  Args:
    scores: Of every query, one for each distance first, first - 1, ....
    keys: The number of keys, the queries among them.
    first: The distance of the first column.

  Returns:
    The score of the distance of each key; 0 where the table does not hold it.
  """
  return _pick(scores, first - distances(scores.shape[-2], keys))


def _forward(scores, keys, first):
  return by_key(scores, keys, first), scores.shape[-1]


def _backward(keys, first, columns, gradient):
  """The keys of a query are all at other distances: what undoes a look-up is one, and no sum."""
  t = gradient.shape[-2]
  key = distances(t, keys)[:, :1] - first + np.arange(columns)
  return (_pick(gradient, key),)


by_key.defvjp(_forward, _backward)


def _pick(x: Float[Array, '*b t r'], index: Int[np.ndarray, 't s']) -> Float[Array, '*b t s']:
  """Row by row the columns of these numbers; 0 where there is none."""
  there = (index >= 0) & (index < x.shape[-1])
  rows = np.arange(index.shape[0])[:, None]
  return jnp.where(there, x[..., rows, np.where(there, index, 0)], 0)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def by_key_at(
  scores: Float[Array, 'b n q r'], place: Int[Array, 'b q'], keys: int, first: int
) -> Float[Array, 'b n q s']:
  """`by_key` of queries that stand anywhere among the keys, in every row elsewhere.

  Args:
    scores: Of every query, one for each distance first, first - 1, ....
    place: The number of the key at whose place each query stands.
    keys: The number of keys.
    first: The distance of the first column.
  """
  return _pick_at(scores, first - place[..., None] + jnp.arange(keys))


def _forward_at(scores, place, keys, first):
  return by_key_at(scores, place, keys, first), (place, scores.shape[-1])


def _backward_at(keys, first, kept, gradient):
  place, columns = kept
  return _pick_at(gradient, place[..., None] - first + jnp.arange(columns)), None


by_key_at.defvjp(_forward_at, _backward_at)


def _pick_at(x: Float[Array, 'b n q r'], index: Int[Array, 'b q s']) -> Float[Array, 'b n q s']:
  """Row by row the columns of these numbers; 0 where there is none."""
  there = (index >= 0) & (index < x.shape[-1])
  found = jnp.take_along_axis(x, jnp.where(there, index, 0)[:, None], axis=-1)
  return jnp.where(there[:, None], found, 0)
