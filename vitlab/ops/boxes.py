"""Boxes: their codings, their overlap, and what detectors are told and answer.

A box is (left, top, right, bottom) in pixels of the picture that the model sees, 'xyxy': x grows to
the right, y downwards, pixel i covers [i, i + 1]. A size is (height, width). Any other coding is
local to the code that needs it. Letters: o objects, q queries or candidates, n and m any boxes.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

LARGEST_GROWTH = math.log(1000 / 16)  # of a side, in `decode_deltas`: a picture from one cell

Boxes = Float[Array, '... 4']
Number = Float[Array, '...']
Weights = tuple[float, float, float, float]


class Objects(NamedTuple):
  """What there is to be found in each picture, in rows of one number.

  Attributes:
    boxes: Zero where there is no object.
    classes: -1 where there is no object.
  """

  boxes: Float[Array, '*b o 4']
  classes: Int[Array, '*b o']

  def where(self, mask: Bool[Array, ' b']) -> 'Objects':
    """Those of some pictures; the others have none."""
    return self._replace(classes=jnp.where(mask[:, None], self.classes, -1))


class Detections(NamedTuple):
  """What a detector answers, the surest first, in rows of one number.

  Attributes:
    boxes: Zero in empty rows.
    scores: Zero in empty rows.
    classes: -1 in empty rows.
  """

  boxes: Float[Array, '*b q 4']
  scores: Float[Array, '*b q']
  classes: Int[Array, '*b q']


class Term(NamedTuple):
  """One term of a loss: `weight * sum / max(count, 1)`, which may be summed over devices first.

  Attributes:
    sum: The losses of all that counts, summed.
    count: What the sum is divided by to be a mean.
    weight: Of the term in the whole loss.
  """

  sum: Float[Array, '']
  count: Float[Array, '']
  weight: float = 1.0


def xyxy_to_cxcywh(boxes: Boxes) -> Boxes:
  """Corners to centre, width and height."""
  low, high = boxes[..., :2], boxes[..., 2:]
  return jnp.concatenate([(low + high) / 2, high - low], axis=-1)


def cxcywh_to_xyxy(boxes: Boxes) -> Boxes:
  """Centre, width and height to corners."""
  centre, half = boxes[..., :2], boxes[..., 2:] / 2
  return jnp.concatenate([centre - half, centre + half], axis=-1)


def xyxy_to_xywh(boxes: Boxes) -> Boxes:
  """Corners to the upper left one, width and height: how COCO's files write boxes."""
  low, high = boxes[..., :2], boxes[..., 2:]
  return jnp.concatenate([low, high - low], axis=-1)


def xywh_to_xyxy(boxes: Boxes) -> Boxes:
  """The upper left corner, width and height to corners."""
  low, extent = boxes[..., :2], boxes[..., 2:]
  return jnp.concatenate([low, low + extent], axis=-1)


def area(boxes: Boxes) -> Number:
  """Width times height, with no pixel added."""
  left, top, right, bottom = _sides(boxes)
  return (right - left) * (bottom - top)


def clip(boxes: Float[Array, '*b n 4'], size: Int[Array, '*b 2']) -> Float[Array, '*b n 4']:
  """Moves what lies outside of the picture onto its edge.

  Args:
    boxes: Those of each picture.
    size: Height and width of each picture.
  """
  edge = jnp.tile(jnp.flip(size, axis=-1), 2).astype(boxes.dtype)
  return jnp.clip(boxes, 0, edge[..., None, :])


def iou(a: Boxes, b: Boxes) -> Number:
  """Intersection over union of each box with the box at the same place.

  Two empty boxes have 0 in common, where torchvision has NaN: a row without object may be masked
  after a loss. NaN in a box stays NaN.
  """
  return _divide(*_intersection_and_union(a, b))


def giou(a: Boxes, b: Boxes) -> Number:
  """IoU less the empty share of the hull of both boxes (Rezatofighi et al. 2019, arXiv:1902.09630).

  Two empty boxes at one place have 0.
  """
  intersection, union = _intersection_and_union(a, b)
  width, height = _hull(a, b)
  return _divide(intersection, union) - _divide(width * height - union, width * height)


def diou(a: Boxes, b: Boxes) -> Number:
  """IoU less the squared distance of the centres, over that of the hull's corners.

  Zheng et al. 2019 (arXiv:1911.08287).
  """
  width, height = _hull(a, b)
  (left, top, right, bottom), (left2, top2, right2, bottom2) = _sides(a), _sides(b)
  x, y = (left + right - left2 - right2) / 2, (top + bottom - top2 - bottom2) / 2
  return iou(a, b) - _divide(x**2 + y**2, width**2 + height**2)


def pairwise_iou(a: Float[Array, '*b n 4'], b: Float[Array, '*b m 4']) -> Float[Array, '*b n m']:
  """`iou` of all pairs."""
  return iou(a[..., :, None, :], b[..., None, :, :])


def pairwise_giou(a: Float[Array, '*b n 4'], b: Float[Array, '*b m 4']) -> Float[Array, '*b n m']:
  """`giou` of all pairs."""
  return giou(a[..., :, None, :], b[..., None, :, :])


def encode_deltas(boxes: Boxes, anchors: Boxes, weights: Weights = (1.0, 1.0, 1.0, 1.0)) -> Boxes:
  """Boxes as seen from anchors: shift in sides of the anchor, logarithm of growth.

  Girshick et al. 2013 (arXiv:1311.2524), appendix C. A side of zero counts as one pixel, so that
  rows without object are finite under their mask.

  Args:
    boxes: What is coded.
    anchors: One for each box.
    weights: What the shifts in x and y and the growths in width and height are multiplied by.
  """
  boxes, anchors = xyxy_to_cxcywh(boxes), xyxy_to_cxcywh(anchors)
  side, anchor_side = (jnp.where(b[..., 2:] > 0, b[..., 2:], 1) for b in (boxes, anchors))
  shift = (boxes[..., :2] - anchors[..., :2]) / anchor_side
  growth = jnp.log(side / anchor_side)
  return jnp.concatenate([shift, growth], axis=-1) * jnp.asarray(weights, boxes.dtype)


def decode_deltas(deltas: Boxes, anchors: Boxes, weights: Weights = (1.0, 1.0, 1.0, 1.0)) -> Boxes:
  """The boxes that `encode_deltas` coded; no side grows to more than 62.5 times the anchor's."""
  deltas = deltas / jnp.asarray(weights, deltas.dtype)
  anchors = xyxy_to_cxcywh(anchors)
  centre = anchors[..., :2] + deltas[..., :2] * anchors[..., 2:]
  side = anchors[..., 2:] * jnp.exp(jnp.minimum(deltas[..., 2:], LARGEST_GROWTH))
  return cxcywh_to_xyxy(jnp.concatenate([centre, side], axis=-1))


def _sides(boxes):
  return boxes[..., 0], boxes[..., 1], boxes[..., 2], boxes[..., 3]


def _intersection_and_union(a, b):
  (left, top, right, bottom), (left2, top2, right2, bottom2) = _sides(a), _sides(b)
  width = jnp.maximum(jnp.minimum(right, right2) - jnp.maximum(left, left2), 0)
  height = jnp.maximum(jnp.minimum(bottom, bottom2) - jnp.maximum(top, top2), 0)
  intersection = width * height
  return intersection, area(a) + area(b) - intersection


def _hull(a, b):
  """Width and height of the smallest box around both."""
  (left, top, right, bottom), (left2, top2, right2, bottom2) = _sides(a), _sides(b)
  width = jnp.maximum(right, right2) - jnp.minimum(left, left2)
  return width, jnp.maximum(bottom, bottom2) - jnp.minimum(top, top2)


def _divide(part, whole):
  """Zero where nothing is divided by nothing, in the gradient too."""
  return jnp.where(whole == 0, 0, part / jnp.where(whole == 0, 1, whole))
