"""Which candidate answers for which object: what a detector is trained on.

Letters: o objects, q candidates.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vitlab.ops.boxes import Objects, pairwise_iou

FAR = 1e5  # what it costs to lie outside of an object or far from its centre


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
