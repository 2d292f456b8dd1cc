"""Who answers for which object: queries, anchors or cells assigned to objects, on the device.

All functions are of one picture with a fixed number of objects, of which some are not there;
`jax.vmap` makes them of many. Letters: o objects, q queries, a anchors or cells.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vitlab.ops.boxes import Objects, pairwise_iou
from vitlab.ops.precision import wide

BACKGROUND, IGNORED = -1, -2
LARGEST_COST = 1e6
FAR = 1e5  # what it costs to lie outside of an object or far from its centre


class _Matching(NamedTuple):
  """Some objects with their queries, at prices for which no other query is cheaper to them.

  Attributes:
    least: What each object pays: the cost of its query less the query's price, none is less.
    price: Of each query, at most 0; 0 if it is free.
    owner: The object of each query; the number of objects: none.
    query: The query of each object; -1: none.
  """

  least: Float[Array, ' o']
  price: Float[Array, ' q']
  owner: Int[Array, ' q']
  query: Int[Array, ' o']


def hungarian(cost: Float[Array, 'q o'], present: Bool[Array, ' o']) -> Int[Array, ' o']:
  """One query for each object, no query for two, at the least total cost (Kuhn 1955).

  Every object first takes its cheapest query, unless an object before it has. The others come in
  one after another, each by the cheapest chain of objects that change their query (Crouse 2016,
  doi:10.1109/TAES.2016.140952).

  Args:
    cost: Of each query for each object; beyond ±1e6, and NaN, counts as 1e6.
    present: Which objects are there.

  Returns:
    The query of each object; -1 where there is no object, or no query left for it.
  """
  queries, objects = cost.shape
  cost = wide(cost)
  cost = jnp.where(jnp.abs(cost) < LARGEST_COST, cost, LARGEST_COST)  # NaN would end no search
  if objects > queries:  # more queries, each dearer than what it could save
    dear = 1 + 2 * objects * jnp.max(jnp.abs(cost))
    cost = jnp.pad(cost, ((0, objects - queries), (0, 0)), constant_values=dear)

  rows, number = cost.T, jnp.arange(objects)
  cheapest, least = _first_least(cost)
  owner = jnp.full(len(cost), objects)  # of each query; as many as there are objects: free
  owner = owner.at[cheapest].min(jnp.where(present, number, objects))
  query = jnp.where(present & (owner[cheapest] == number), cheapest, -1)
  state = _Matching(least, jnp.zeros(len(cost), cost.dtype), owner, query)

  def left(state):
    return present & (state.query < 0)

  def insert(state):
    return _insert(rows, state, jnp.min(jnp.where(left(state), number, objects)))

  state = jax.lax.while_loop(lambda state: jnp.any(left(state)), insert, state)
  return jnp.where(state.query < queries, state.query, -1).astype(jnp.int32)


def _insert(cost, matching, start):
  """The object `start` takes a query too; where it is no object, all stays.

  Dijkstra's search from the object to the nearest free query: a step from an object to a query is
  as long as the query is dearer than what the object pays, and leads on to the query's owner.
  """
  least, price, owner, query = matching
  objects, queries = cost.shape

  def step(state):
    distance, done, path, passed, object, _ = state
    through = (passed - least[object]) + (cost[object] - price)
    nearer = ~done & (through < distance)
    distance, path = jnp.where(nearer, through, distance), jnp.where(nearer, object, path)
    next, passed = _first_least(jnp.where(done, jnp.inf, distance))
    return distance, done | (jnp.arange(queries) == next), path, passed, owner[next], next

  zeros = jnp.zeros(queries, cost.dtype)
  state = zeros + jnp.inf, zeros > 0, jnp.zeros(queries, int), zeros[0], start, -1
  search = jax.lax.while_loop(lambda state: state[4] < objects, step, state)
  distance, done, path, passed, _, last = search

  rise = jnp.where(done, passed - distance, 0)
  started = jnp.where(jnp.arange(objects) == start, passed, 0)
  least, price = least + jnp.where(query >= 0, rise[query], started), price - rise

  def hand_over(state):
    last, owner, query = state
    object = path[last]
    before = jnp.where(object == start, -1, query[object])
    owner = jnp.where(jnp.arange(queries) == last, object, owner)
    return before, owner, jnp.where(jnp.arange(objects) == object, last, query)

  state = jax.lax.while_loop(lambda state: state[0] >= 0, hand_over, (last, owner, query))
  return _Matching(least, price, *state[1:])


def _first_least(columns):
  """Where the least number of each column is, and it; by two minima: one argmin is much slower."""
  least = jnp.min(columns, axis=0)
  row = jnp.arange(len(columns)).reshape(-1, *[1] * least.ndim)
  return jnp.min(jnp.where(columns == least, row, len(columns) - 1), axis=0), least


def by_iou(
  overlap: Float[Array, 'o a'],
  present: Bool[Array, ' o'],
  high: float,
  low: float,
  allow_low_quality: bool = False,
) -> Int[Array, ' a']:
  """The object that each anchor overlaps most, if enough (Faster R-CNN, arXiv:1506.01497, 3.1.2).

  Args:
    overlap: IoU of each object with each anchor.
    present: Which objects are there.
    high: Least IoU of an anchor with its object.
    low: Least IoU of an anchor that is not background.
    allow_low_quality: Whether the anchors that overlap an object most get an object whatever the
      IoU: their own most overlapped one, as in torchvision, not the one that they are best for.

  Returns:
    The object of each anchor, or -1: background, or -2: neither, between the two thresholds.
  """
  overlap = jnp.where(present[:, None], overlap, -1)
  best, object = jnp.max(overlap, axis=0), jnp.argmax(overlap, axis=0)
  unmatched = jnp.where(best < low, BACKGROUND, IGNORED)
  matched = best >= high
  if allow_low_quality:
    most = jnp.max(overlap, axis=1, keepdims=True)
    matched |= jnp.any((overlap == most) & present[:, None], axis=0)
  return jnp.where(matched, object, unmatched).astype(jnp.int32)


def sim_ota(
  boxes: Float[Array, 'q 4'],
  logits: Float[Array, 'q classes'],
  objectness: Float[Array, ' q'],
  centres: Float[Array, 'q 2'],
  strides: Float[Array, ' q'],
  objects: Objects,
  *,
  radius: float = 2.5,
  most: int = 10,
) -> tuple[Int[Array, ' q'], Float[Array, ' q']]:
  """The cells of a grid that answer for each object of a picture, by what they answer now.

  SimOTA of YOLOX (arXiv:2107.08430, section 2.1): an object takes the k cells that cost it least,
  k being the sum of its largest overlaps. A cell that several take is the one's that it costs
  least, be it one of them or not.

  Args:
    boxes: What each cell answers.
    logits: Of the classes.
    objectness: Its logit.
    centres: Of the cells, (x, y) in pixels.
    strides: Pixels of a side of the cell.
    objects: Of the picture.
    radius: How far from an object's centre a cell may lie, in sides of the cell, to be near it.
    most: How many of the largest overlaps are summed.

  Returns:
    The object of each cell, -1 where it has none, and their overlap (IoU).
  """
  boxes, logits, objectness = jax.lax.stop_gradient((boxes, logits, objectness))
  present = objects.classes[:, None] >= 0
  inside, near = _places(centres, strides, objects, radius)
  candidate = present & (present & (inside | near)).any(0)
  overlap = jnp.where(candidate, pairwise_iou(objects.boxes, boxes), 0.0)
  cost = _class_cost(logits, objectness, objects.classes) - 3 * jnp.log(overlap + 1e-8)
  cost = jnp.where(candidate, cost + FAR * ~(inside & near), jnp.inf)

  most = min(most, len(boxes))
  count = jnp.maximum(jax.lax.top_k(overlap, most)[0].sum(1).astype(int), 1)
  least, cells = jax.lax.top_k(-cost, most)
  takes = (jnp.arange(most) < count[:, None]) & jnp.isfinite(least)
  taken = jnp.zeros(cost.shape, bool).at[jnp.arange(len(cost))[:, None], cells].set(takes)
  several = taken.sum(0) > 1
  owner = jnp.where(several, jnp.argmin(cost, axis=0), jnp.argmax(taken, axis=0))
  overlap = jnp.take_along_axis(overlap, owner[None], axis=0)[0]
  matched = taken.any(0)
  return jnp.where(matched, owner, -1), jnp.where(matched, overlap, 0.0)


def _places(centres, strides, objects, radius):
  """[o q] whether the centre of a cell is inside of an object; whether near its centre."""
  low, high = objects.boxes[:, None, :2], objects.boxes[:, None, 2:]
  inside = ((centres > low) & (centres < high)).all(-1)
  near = (jnp.abs(centres - (low + high) / 2) < radius * strides[:, None]).all(-1)
  return inside, near


def _class_cost(logits, objectness, classes):
  """[o q] cross-entropy of sqrt(p(class) p(object)) with the classes of each object."""
  p = jnp.sqrt(jax.nn.sigmoid(logits) * jax.nn.sigmoid(objectness)[:, None])
  log_yes, log_no = (jnp.maximum(jnp.log(x), -100) for x in (p, 1 - p))
  right = jnp.take((log_yes - log_no).T, jnp.maximum(classes, 0), axis=0)
  return -(log_no.sum(-1) + right)
