"""The loss of a set of predictions: each object is matched with one of them, the rest are nothing.

DETR, Carion et al. 2020 (arXiv:2005.12872), sections 3.1 and A.2, as in its authors' code. Boxes
are (centre, width and height) in sides of the picture, here alone. Letters: s sets of predictions
for one picture, each matched by itself (decoder layers, groups of queries); q predictions in a set;
o objects; c classes, the last of which is 'no object'.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vitlab.errors import UserError
from vitlab.ops import boxes as box_ops
from vitlab.ops.assignment import hungarian
from vitlab.ops.boxes import Objects, Term

# Of the probability of the class, of the L1 distance of boxes and of their GIoU: in the cost of a
# match, and in the loss.
CLASS, BOX, GIOU = 1.0, 5.0, 2.0

_ROUNDED = 4  # data sets round the rows for objects up to a multiple of it


class Losses(NamedTuple):
  """Sums over the predictions of each set.

  Attributes:
    classes: Weighted cross-entropy.
    weights: The weights of its predictions.
    box: L1 distances of the boxes of matched predictions to those of their objects.
    giou: 1 - GIoU of these.
    objects: How many there are.
  """

  classes: Float[Array, '*b s']
  weights: Float[Array, '*b s']
  box: Float[Array, '*b s']
  giou: Float[Array, '*b s']
  objects: Float[Array, '*b s']


def terms(
  logits: Float[Array, 'b layers t c'],
  boxes: Float[Array, 'b layers t 4'],
  objects: Objects,
  mask: Bool[Array, ' b'],
  num_queries: int,
  num_learned: int,
  no_object_weight: float,
) -> dict[str, Term]:
  """The terms of DETR's loss.

  Args:
    logits: Behind each layer of the decoder, of the queries that answer, those of other groups, and
      denoising queries (`vitlab.layers.object_queries`).
    boxes: Theirs.
    objects: What there is.
    mask: The pictures that count.
    num_queries: Queries of one group.
    num_learned: Queries of all groups, without those that denoise.
    no_object_weight: Of a prediction without object in the mean of cross-entropies, which is one
      over weights; 1 of the others.

  Returns:
    'class', 'box' and 'giou' of the last layer; 'auxiliary', of the layers before it; 'denoising',
    of denoising queries in all layers; 'rematched', which weighs nothing: the share of objects that
    have another query in the last layer than in the one before it.

  Raises:
    UserError: pictures have more objects than there are queries.
  """
  objects = objects.where(mask)
  layers, o = logits.shape[1], objects.classes.shape[1]
  if o >= num_queries + _ROUNDED:
    raise UserError(
      f'num_queries={num_queries} are fewer than the objects of a picture: the others would be '
      f'learned as background\ngive more queries than there ever are objects, {o} or better 2 x {o}'
    )
  sets = [_sets(x[:, :, :num_learned], num_queries) for x in (logits, boxes)]
  matched = match(*sets, objects)
  found = _by_layer(losses(*sets, objects, matched, no_object_weight), layers, mask)
  last = jax.tree.map(lambda x: x[-1], found)
  # Counted in weights of a query without object, of which every picture has more than one.
  weights = last.weights / no_object_weight
  result = {
    'class': Term(last.classes / no_object_weight, weights, CLASS),
    'box': Term(last.box, last.objects, BOX),
    'giou': Term(last.giou, last.objects, GIOU),
  }
  if layers > 1:
    before = _mean(jax.tree.map(lambda x: x[:-1], found), no_object_weight)
    result['auxiliary'] = Term(before.sum() * weights, weights)
    by_layer = matched.reshape(len(matched), layers, -1)
    moved = jnp.sum(by_layer[:, -1] != by_layer[:, -2], dtype=boxes.dtype)
    result['rematched'] = Term(moved, last.objects, 0.0)
  if logits.shape[2] > num_learned:
    sets = [_sets(x[:, :, num_learned:], o) for x in (logits, boxes)]
    itself = jnp.where(objects.classes >= 0, jnp.arange(o), -1)[:, None]
    itself = jnp.broadcast_to(itself, (*sets[0].shape[:2], o))
    found = _by_layer(losses(*sets, objects, itself, 0.0), layers, mask)
    count = found.objects[-1]
    result['denoising'] = Term(_mean(found, 1.0).sum() * count, count)
  return result


def match(
  logits: Float[Array, 'b s q c'], boxes: Float[Array, 'b s q 4'], objects: Objects
) -> Int[Array, 'b s o']:
  """The prediction of each object in each set, at the least total cost; -1 for none.

  The cost of a pair is -p(class) + 5 |difference of boxes| - 2 GIoU: a probability, no logarithm of
  one, which is of the size of the other two. A prediction that is no number is matched last.
  """
  logits, boxes = jax.lax.stop_gradient((logits, boxes))
  classes = jnp.maximum(objects.classes, 0)[:, None, None]
  probability = jnp.take_along_axis(jax.nn.softmax(logits), classes, axis=-1)  # [b s q o]
  targets = objects.boxes[:, None, None]
  distance = jnp.abs(boxes[..., None, :] - targets).sum(-1)
  corners, target_corners = map(box_ops.cxcywh_to_xyxy, (boxes[..., None, :], targets))
  giou = box_ops.giou(corners, target_corners)
  cost = BOX * distance - CLASS * probability - GIOU * giou
  present = jnp.broadcast_to(objects.classes[:, None] >= 0, (*cost.shape[:2], cost.shape[3]))
  return jax.vmap(jax.vmap(hungarian))(cost, present)


def losses(
  logits: Float[Array, 'b s q c'],
  boxes: Float[Array, 'b s q 4'],
  objects: Objects,
  matched: Int[Array, 'b s o'],
  no_object_weight: float,
) -> Losses:
  """The losses of each set under a matching.

  Args:
    logits: Of the classes and, last, 'no object'.
    boxes: Predicted.
    objects: What there is.
    matched: The prediction of each object, -1 for none.
    no_object_weight: Of the cross-entropy of a prediction without object; 1 of the others.
  """
  count = jnp.sum(objects.classes >= 0, axis=1, dtype=boxes.dtype)
  return Losses(
    *_classes(logits, objects, matched, no_object_weight),
    *_boxes(boxes, objects, matched),
    jnp.broadcast_to(count[:, None], matched.shape[:2]),
  )


def relative(boxes: Float[Array, 'b o 4'], size: Int[Array, 'b 2']) -> Float[Array, 'b o 4']:
  """Boxes xyxy in pixels -> centre, width and height in sides of the picture (height, width)."""
  return box_ops.xyxy_to_cxcywh(boxes) / _sides(size, boxes.dtype)


def in_pixels(boxes: Float[Array, 'b q 4'], size: Int[Array, 'b 2']) -> Float[Array, 'b q 4']:
  """The inverse of `relative`."""
  return box_ops.cxcywh_to_xyxy(boxes * _sides(size, boxes.dtype))


def _sides(size, dtype) -> Float[Array, 'b 1 4']:
  return jnp.tile(jnp.flip(size, axis=-1), 2)[:, None].astype(dtype)


def _classes(
  logits: Float[Array, 'b s q c'],
  objects: Objects,
  matched: Int[Array, 'b s o'],
  no_object_weight: float,
) -> tuple[Float[Array, 'b s'], Float[Array, 'b s']]:
  """Weighted cross-entropy and the weights, summed over the predictions."""
  pairs = matched[..., None] == jnp.arange(logits.shape[-2])  # [b s o q]
  taken, no_object = pairs.any(-2), logits.shape[-1] - 1
  labels = jnp.where(pairs, objects.classes[:, None, :, None], 0).sum(-2)
  labels = jnp.where(taken, labels, no_object)
  found = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], axis=-1)[..., 0]
  weights = jnp.where(taken, 1.0, no_object_weight).astype(logits.dtype)
  return -(weights * found).sum(-1), weights.sum(-1)


def _boxes(
  boxes: Float[Array, 'b s q 4'], objects: Objects, matched: Int[Array, 'b s o']
) -> tuple[Float[Array, 'b s'], Float[Array, 'b s']]:
  """L1 distance and 1 - GIoU of the matched boxes, summed."""
  present = matched >= 0
  found = jnp.take_along_axis(boxes, jnp.maximum(matched, 0)[..., None], axis=2)
  targets = objects.boxes[:, None]
  distance = jnp.abs(found - targets).sum(-1)
  giou = box_ops.giou(*map(box_ops.cxcywh_to_xyxy, (found, targets)))
  return tuple(jnp.where(present, x, 0).sum(-1) for x in (distance, 1 - giou))


def _sets(x: Float[Array, 'b layers t c'], size: int) -> Float[Array, 'b s q c']:
  """The predictions of each layer in sets of this size, layer after layer."""
  return x.reshape(len(x), -1, size, x.shape[-1])


def _by_layer(found: Losses, layers: int, mask: Bool[Array, ' b']) -> Losses:
  """Sums over the pictures that count and the sets of each layer."""
  rows = lambda x: jnp.where(mask[:, None], x, 0).sum(0)  # noqa: E731
  return jax.tree.map(lambda x: rows(x).reshape(layers, -1).sum(1), found)


def _mean(found: Losses, least: float) -> Float[Array, ' layers']:
  """The whole loss of each layer; `least` is the least weight that a prediction may have."""
  classes = found.classes / jnp.maximum(found.weights, least)
  boxes = BOX * found.box + GIOU * found.giou
  return CLASS * classes + boxes / jnp.maximum(found.objects, 1)
