"""Which boxes the second stage of a detector looks at, and which of them it learns from.

Ren et al. 2015 (arXiv:1506.01497), sections 3.1.2 and 3.3, in numbers that do not depend on what is
in a picture: what is not filled is marked. Without a letter b, for one picture (`jax.vmap`).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from vitlab.ops.assignment import by_iou
from vitlab.ops.boxes import Objects, Term, clip, decode_deltas, encode_deltas, pairwise_iou
from vitlab.ops.losses import smooth_l1
from vitlab.ops.nms import nms

SMALLEST_SIDE = 1e-3  # of a proposal, in pixels; torchvision's
BETA = 1 / 9  # of smooth L1, which is quadratic below; torchvision's


class Proposals(NamedTuple):
  """Boxes that may have an object in them, the likeliest first.

  Attributes:
    boxes: Zero in empty rows.
    valid: Whether a row is filled.
  """

  boxes: Float[Array, '*b p 4']
  valid: Bool[Array, '*b p']


class Sample(NamedTuple):
  """Candidates to learn from.

  Attributes:
    index: Of the candidate.
    valid: Whether a row is filled.
    match: The object that the candidate is to find; -1: none, it is background.
  """

  index: Int[Array, '*b s']
  valid: Bool[Array, '*b s']
  match: Int[Array, '*b s']

  @property
  def found(self) -> Bool[Array, '*b s']:
    """Whether there is an object."""
    return self.match >= 0


def propose(
  objectness: Float[Array, ' a'],
  deltas: Float[Array, 'a 4'],
  size: Int[Array, '2'],
  *,
  anchors: Sequence[Float[Array, '_ 4']],
  candidates: int,
  count: int,
  iou_threshold: float,
) -> Proposals:
  """The best boxes of a picture; no gradient flows through where they are.

  Args:
    objectness: Logit of each anchor.
    deltas: Of each anchor (`decode_deltas`).
    size: Height and width of the picture within its padding.
    anchors: Of each level of the pyramid.
    candidates: How many of each level meet non-maximum suppression, which they do level by level.
    count: How many remain of all levels together.
    iou_threshold: Of non-maximum suppression.
  """
  objectness, deltas = jax.lax.stop_gradient((objectness, deltas))
  ends = np.cumsum([len(level) for level in anchors])[:-1]
  found = []
  for scores, codes, level in zip(jnp.split(objectness, ends), jnp.split(deltas, ends), anchors):
    scores, order = jax.lax.top_k(scores, min(candidates, len(level)))
    boxes = clip(decode_deltas(codes[order], level[order]), size)
    large = (boxes[:, 2:] - boxes[:, :2] >= SMALLEST_SIDE).all(-1)
    scores = jnp.where(large, scores, -jnp.inf)
    index, kept = nms(boxes, scores, iou_threshold, min(count, len(scores)))
    found.append((boxes[index], jnp.where(kept, scores[index], -jnp.inf)))
  boxes, scores = (jnp.concatenate(parts) for parts in zip(*found))
  scores, order = jax.lax.top_k(scores, min(count, len(scores)))
  valid = scores > -jnp.inf
  return Proposals(jnp.where(valid[:, None], boxes[order], 0), valid)


def match(
  boxes: Float[Array, 'n 4'],
  objects: Objects,
  *,
  above: float,
  below: float,
  low_quality: bool = False,
) -> Int[Array, ' n']:
  """The object of each box, the one that it shares most with; -1: background, -2: neither.

  Args:
    boxes: Anchors or regions of a picture.
    objects: In this picture.
    above: IoU from which on a box has the object.
    below: IoU below which it is background.
    low_quality: Whether an object also gets the boxes that share most with it, however little.
  """
  overlap = pairwise_iou(objects.boxes, boxes)
  return by_iou(overlap, objects.classes >= 0, above, below, low_quality)


def with_objects(proposals: Proposals, objects: Objects) -> Proposals:
  """The boxes of the objects behind what was proposed: so that there is something to learn from."""
  boxes = jnp.concatenate([proposals.boxes, objects.boxes.astype(proposals.boxes.dtype)])
  return Proposals(boxes, jnp.concatenate([proposals.valid, objects.classes >= 0]))


def sample(
  key: Shaped[Array, ''], match: Int[Array, ' n'], count: int, positive_share: float
) -> Sample:
  """Draws candidates without regard to order: objects first, up to their share, then background.

  Args:
    key: Of the draw.
    match: The object of each candidate; -1: background; below: neither, never drawn.
    count: How many are drawn, if there are so many.
    positive_share: The most that candidates with an object are of them.
  """
  chance = jax.random.uniform(key, match.shape)
  with_object = match >= 0
  most = min(int(count * positive_share), len(match))
  _, drawn = jax.lax.top_k(jnp.where(with_object, chance, -1), most)
  drawn = jnp.zeros(match.shape, bool).at[drawn].set(True) & with_object
  rank = jnp.where(drawn, 1, jnp.where(match == -1, chance, -1))
  rank, index = jax.lax.top_k(rank, min(count, len(match)))
  valid = rank >= 0
  return Sample(index, valid, jnp.where(valid, match[index], -1))


def draw(key: Shaped[Array, ''], match: Int[Array, 'b n'], **options: Any) -> Sample:
  """`sample` of every picture."""
  return jax.vmap(partial(sample, **options))(jax.random.split(key, len(match)), match)


def box_loss(
  deltas: Float[Array, 'b s 4'],
  origin: Float[Array, 'b s 4'],
  objects: Objects,
  drawn: Sample,
  mask: Bool[Array, ' b'],
  weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0),
) -> Term:
  """Smooth L1 between deltas and those of the objects, divided by all that was drawn.

  Args:
    deltas: Of what was drawn.
    origin: The boxes that they move.
    objects: In each picture.
    drawn: What was.
    mask: Which pictures count.
    weights: Of the deltas.
  """
  target = encode_deltas(pick(objects.boxes, drawn.match), origin, weights)
  off = smooth_l1(deltas, target, BETA).sum(-1)
  return mean(jnp.where(drawn.found, off, 0), drawn, mask)


def mean(values: Float[Array, 'b s'], drawn: Sample, mask: Bool[Array, ' b']) -> Term:
  """Over all that was drawn of pictures that count."""
  counts = drawn.valid & mask[:, None]
  return Term(jnp.where(counts, values, 0).sum(), counts.sum(dtype=values.dtype))


def pick(x: Array, index: Int[Array, 'b s']) -> Array:
  """x[i, index[i]] of every picture i; an index below 0 picks what is not used."""
  return jax.vmap(lambda x, index: x[jnp.maximum(index, 0)])(x, index)
