"""What masked and permutation language models share: tokens of a text that are guessed."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vitlab.ops import losses
from vitlab.ops.masking import Places
from vitlab.ops.sampling import argmax
from vitlab.tasks import Batch, Key

Metric = tuple[Array, Array]


def learned(
  logits: Float[Array, 'b m vocab'], tokens: Int[Array, 'b t'], places: Places
) -> tuple[Array, Array, Metric, Metric]:
  """Of the tokens at some places the mean loss, their number, and the metrics loss and accuracy.

  Args:
    logits: What is guessed to stand at the places.
    tokens: What stands in the text.
    places: Which are guessed.
  """
  targets = jnp.take_along_axis(tokens, places.index, axis=1)
  values = losses.token_cross_entropy(logits, targets, mask=places.counts)
  value, count = losses.masked_mean(values, places.counts)
  right = (argmax(logits) == targets) & places.counts
  hits = jnp.sum(right, dtype=jnp.float32)
  return value, count, (jnp.sum(values), count), (hits, count)


def guessed(
  logits: Float[Array, 'b m vocab'], tokens: Int[Array, 'b t'], places: Places
) -> dict[str, Array]:
  """Of the tokens at some places: 'nll', whether the most probable is 'right', which are 'counted',
  their 'place', the 'target' and the 'guess'; arguments as of `learned`."""
  targets, guess = jnp.take_along_axis(tokens, places.index, axis=1), argmax(logits)
  return dict(
    nll=losses.token_cross_entropy(logits, targets, mask=places.counts),
    right=(guess == targets) & places.counts,
    counted=places.counts,
    place=places.index,
    target=targets,
    guess=guess,
  )


def by_index(
  draw: Callable[[Key, Batch], Any], index: Int[Array, ' b'], rows: Mapping[str, Array]
) -> Any:
  """What is drawn for every row by its number in the split, whatever rows are beside it."""

  def draw_one(index, row):
    key = jax.random.fold_in(jax.random.key(0), index)
    found = draw(key, {name: x[None] for name, x in row.items()})
    return jax.tree.map(lambda x: x[0], found)

  return jax.vmap(draw_one)(index, rows)


def mean_of_tokens(found: Float[Array, 'b t d'], real: Bool[Array, 'b t']) -> Float[Array, 'b d']:
  """The mean of the tokens' features, padding left out."""
  total = jnp.sum(jnp.where(real[..., None], found, 0), axis=1)
  return total / jnp.maximum(real.sum(axis=1, keepdims=True), 1)
