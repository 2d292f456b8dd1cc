"""Vectors and probabilities of a large vocabulary, its rare words narrower than its frequent ones.

The adaptive softmax (Grave et al. 2016, arXiv:1609.04309) says first whether a word is one of the
frequent ones, and which, or in which cluster of rare ones it is, then which of these. Adaptive
inputs (Baevski and Auli 2018, arXiv:1809.10853) embed words by the same tables. A program's shapes
being fixed, all clusters are computed for every token: what is saved is their width.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vitlab.errors import UserError
from vitlab.layers.dense import Dense, contract
from vitlab.layers.embeddings import TokenEmbed
from vitlab.layers.sharding import apply_split


class AdaptiveEmbed(nn.Module):
  """A vocabulary, sorted by frequency, in a shortlist and clusters with a table each.

  The vectors of cluster i are width // div_val^i wide. Where all are as wide they are one table,
  else a projection brings each to `width`. Logits go through the same projections the other way,
  but for those of the shortlist, which have one of their own: so does the code of Transformer-XL.

  Attributes:
    vocab_size: How many tokens there are.
    width: Of the vectors that come out.
    cutoffs: The first token of each cluster behind the shortlist.
    div_val: By how much each table is narrower than the one before; 1: all are as wide.
    dtype: Of the vectors; logits are at least float32.
    stddev: Of the initial vectors.
    projection_stddev: Of the initial projections.
  """

  vocab_size: int
  width: int
  cutoffs: Sequence[int] = ()
  div_val: int = 1
  dtype: Any = jnp.float32
  stddev: float = 0.02
  projection_stddev: float = 0.01

  def setup(self):
    widths = [self.width // self.div_val**i for i in range(len(self.cutoffs) + 1)]
    sizes = [stop - start for start, stop in self.spans]
    self.table = [
      TokenEmbed(size, width, self.dtype, logits_bias=True, stddev=self.stddev)
      for size, width in zip(sizes, widths)
    ]
    if self.div_val > 1:
      init = nn.initializers.normal(self.projection_stddev)
      new = lambda name, width: self.param(name, init, (width, self.width), jnp.float32)  # noqa: E731
      self.projections = [new(f'projection_{i}', width) for i, width in enumerate(widths)]
      self.head_projection = new('head_projection', self.width)
    if self.cutoffs:
      init, dtype = nn.initializers.normal(self.stddev), jnp.promote_types(self.dtype, jnp.float32)
      self.clusters = Dense(len(self.cutoffs), 1, True, dtype, init)

  @property
  def spans(self) -> list[tuple[int, int]]:
    """The first token of each table, and the one behind its last; all as wide are one table."""
    cutoffs = self.cutoffs if self.div_val > 1 else ()
    return list(itertools.pairwise((0, *cutoffs, self.vocab_size)))

  def __call__(self, tokens: Int[Array, '*b']) -> Float[Array, '*b d']:
    """The vectors of tokens."""
    if self.div_val == 1:
      return self.table[0](tokens)
    vectors = jnp.zeros((*tokens.shape, self.width), self.dtype)
    for (start, stop), table, projection in zip(self.spans, self.table, self.projections):
      found = _project(table(jnp.clip(tokens - start, 0, stop - start - 1)), projection)
      here = (start <= tokens) & (tokens < stop)
      vectors = jnp.where(here[..., None], found, vectors)
    return vectors

  def logits(self, x: Float[Array, '*b d']) -> Float[Array, '*b vocab']:
    """Log-probabilities of all tokens: of one in a cluster, of the cluster and of it therein."""
    if self.div_val == 1:
      first, apart = x, jnp.split(self.table[0].logits(x), self.cutoffs, axis=-1)
    else:
      first, *narrow = (_project(x, p.T) for p in (self.head_projection, *self.projections[1:]))
      apart = [table.logits(seen) for table, seen in zip(self.table, (first, *narrow))]
    shortlist, *rare = apart
    if not rare:
      return jax.nn.log_softmax(shortlist)
    first = jax.nn.log_softmax(jnp.concatenate([shortlist, self.clusters(first)], axis=-1))
    shortlist, clusters = jnp.split(first, [shortlist.shape[-1]], axis=-1)
    rare = [clusters[..., i, None] + jax.nn.log_softmax(of_it) for i, of_it in enumerate(rare)]
    return jnp.concatenate([shortlist, *rare], axis=-1)


def check_clusters(vocab_size: int, width: int, cutoffs: Sequence[int], div_val: int) -> None:
  """Raises UserError unless a vocabulary can be cut like this."""
  edges = [0, *cutoffs, vocab_size]
  if edges != sorted(set(edges)):
    raise UserError(
      f'cutoffs={tuple(cutoffs)} need to rise, and lie between 0 and the '
      f'{vocab_size} tokens of the vocabulary'
    )
  if div_val < 1 or width < div_val ** len(cutoffs):
    raise UserError(
      f'div_val={div_val} needs to be 1 or more, and to leave of the width {width} '
      f'something for each of {len(cutoffs)} clusters'
    )


def _project(x: Float[Array, '*b d'], kernel: Float[Array, 'd width']) -> Float[Array, '*b width']:
  return apply_split(contract, x, kernel.astype(x.dtype))
