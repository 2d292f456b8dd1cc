"""What attention weights say about an image: maps, rollout and distances.

Global attention and windows are one thing here: g groups of t tokens, and a `Layout` that says
where in the image each of them lies. Relevance flows from tokens back to what they attend to; maps
of heads, maps of queries and rollout are all this one product, started from different tokens, so
nothing ever holds the t × t matrix of a whole feature map.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from vitlab.errors import unknown

Grid = tuple[int, int]
FUSIONS = {'mean': jnp.mean, 'max': jnp.max, 'min': jnp.min}


class Layout(NamedTuple):
  """Where the tokens of an attention block lie.

  The places of a block are numbered: first the tokens that are nowhere (class, distillation,
  registers), then the cells of the feature map, row by row.

  Attributes:
    places: Of token t of group g; -1 where it is padding.
    grid: Rows and columns of the feature map.
    prefix: How many tokens are nowhere.
    window: Side of the windows; 0: attention is global.
    shift: Of the windows, up and to the left.
  """

  places: Int[np.ndarray, 'g t']
  grid: Grid
  prefix: int = 0
  window: int = 0
  shift: int = 0

  @property
  def count(self) -> int:
    """The number of places."""
    return self.prefix + self.grid[0] * self.grid[1]


def everywhere(grid: Grid, prefix: int = 0) -> Layout:
  """Global attention: one group that holds every place."""
  return Layout(np.arange(prefix + grid[0] * grid[1])[None], grid, prefix)


def windowed(grid: Grid, window: int, shift: int = 0) -> Layout:
  """Windows of a map that is padded at the bottom and on the right, then rolled by the shift.

  So `vitlab.ops.windows` cuts it: the places are those before padding and rolling.
  """
  rows, columns = grid
  places = np.arange(rows * columns).reshape(grid)
  places = np.pad(places, ((0, -rows % window), (0, -columns % window)), constant_values=-1)
  places = np.roll(places, (-shift, -shift), (0, 1))
  places = places.reshape(places.shape[0] // window, window, -1, window).transpose(0, 2, 1, 3)
  return Layout(places.reshape(-1, window**2), grid, window=window, shift=shift)


def without_padding(weights: Float[Array, 'g n t s'], layout: Layout) -> Float[Array, 'g n t s']:
  """Weights on keys that are there; they sum to one again."""
  if (layout.places >= 0).all():
    return weights
  return _renormalised(weights * (layout.places >= 0)[:, None, None, :])


def flow_back(
  relevance: Float[Array, 'q places'], weights: Float[Array, 'g t s'], layout: Layout
) -> Float[Array, 'q places']:
  """relevance · A: what the tokens of some relevance attend to.

  Args:
    relevance: Of each place as a query; each row is a separate question.
    weights: Of one head, see `without_padding`.
    layout: Of the block.

  Returns:
    Of each place as a key. A row keeps its sum.
  """
  places = np.where(layout.places < 0, layout.count, layout.places)  # padding has the last one
  asked = jnp.pad(relevance, ((0, 0), (0, 1)))[:, places]
  given = jnp.einsum('qgt,gts->qgs', asked, weights)
  empty = jnp.zeros((relevance.shape[0], layout.count + 1), given.dtype)
  return empty.at[:, places].add(given)[:, : layout.count]


def looks(
  relevance: Float[Array, 'q places'], weights: Float[Array, 'g n t s'], layout: Layout
) -> Float[Array, 'q n rows columns']:
  """Maps over the image of what some tokens attend to, by head.

  Tokens that are nowhere are left out, so a map sums to at most one.

  Args:
    relevance: A distribution over the places for each map: one-hot for the map of a single query
      (`one_hot`), uniform for the average query.
    weights: Of all heads.
    layout: Of the block.
  """
  weights = without_padding(weights, layout)
  maps = jax.vmap(lambda w: flow_back(relevance, w, layout), 1, 1)(weights)
  return maps[..., layout.prefix :].reshape(*maps.shape[:2], *layout.grid)


def one_hot(places: Sequence[int], layout: Layout) -> Float[np.ndarray, 'q places']:
  """Relevance of single places."""
  return np.eye(layout.count, dtype=np.float32)[list(places)]


def patches(layout: Layout) -> Float[np.ndarray, ' places']:
  """The average over the feature map."""
  relevance = np.zeros(layout.count, np.float32)
  relevance[layout.prefix :] = 1 / (layout.count - layout.prefix)
  return relevance


def rollout(
  attention: Sequence[tuple[Array, Layout]],
  relevance: Float[Array, 'q places'],
  fusion: str = 'mean',
) -> Float[Array, 'q first_places']:
  """How much of each input token is in output tokens (Abnar and Zuidema 2020, arXiv:2005.00928).

  A block mixes tokens by its attention, fused over the heads, and passes them on unchanged:
  `relevance · prod_l (A_l + I) / 2`, the last block leftmost. Where the map got coarser between two
  blocks (patch merging), a cell hands its relevance to the cells that it was made of, in equal
  parts.

  Args:
    attention: Weights `g n t s` and layout of every block, from the first to the last.
    relevance: Distributions over the places of the last block.
    fusion: How heads become one: 'mean' as in the paper, 'max' or 'min'.

  Returns:
    Distributions over the places of the first block.

  Raises:
    UserError: no such fusion.
  """
  if fusion not in FUSIONS:
    raise unknown('fusion of heads', fusion, FUSIONS)
  after = attention[-1][1]
  for weights, layout in reversed(attention):
    if layout.grid != after.grid:
      relevance = spread(relevance, after, layout)
    fused = FUSIONS[fusion](without_padding(weights, layout), axis=1)
    relevance = (flow_back(relevance, _renormalised(fused), layout) + relevance) / 2
    after = layout
  return relevance


def spread(
  relevance: Float[Array, 'q places'], coarse: Layout, fine: Layout
) -> Float[Array, 'q fine_places']:
  """Relevance of a merged map, in equal parts on the cells that were merged (2 × 2 in Swin)."""
  y, x = (np.arange(n) // -(-n // m) for n, m in zip(fine.grid, coarse.grid))
  parent = (y[:, None] * coarse.grid[1] + x).reshape(-1)
  children = np.bincount(parent, minlength=coarse.grid[0] * coarse.grid[1])
  before, cells = relevance[:, : coarse.prefix], relevance[:, coarse.prefix :]
  return jnp.concatenate([before, (cells / np.maximum(children, 1))[:, parent]], axis=1)


def attention_distance(
  weights: Float[Array, 'g n t s'], layout: Layout, cell: tuple[float | int, float | int]
) -> Float[Array, ' n']:
  """Mean distance between a query and what it attends to (ViT, arXiv:2010.11929, appendix D.7).

  The mean over all queries of Σ_s A_ts · |position_t - position_s|. Tokens that are nowhere and
  padding neither ask nor answer; the other weights are made to sum to one again.

  Args:
    weights: Of all heads.
    layout: Of the block.
    cell: Height and width of a cell of the feature map, in pixels.

  Returns:
    Pixels, by head.
  """
  there = layout.places >= layout.prefix
  y, x = np.divmod(layout.places - layout.prefix, layout.grid[1])
  rows, columns = ((a[:, :, None] - a[:, None, :]) * size for a, size in zip((y, x), cell))
  weights = _renormalised(weights * there[:, None, None, :])
  means = jnp.einsum('gnts,gts->gnt', weights, np.hypot(rows, columns).astype(np.float32))
  return (means * there[:, None, :]).sum((0, 2)) / there.sum()


def _renormalised(weights: Float[Array, '*rows s']) -> Float[Array, '*rows s']:
  # A row of nothing but padding stays zero.
  return weights / jnp.maximum(weights.sum(-1, keepdims=True), 1e-12)
