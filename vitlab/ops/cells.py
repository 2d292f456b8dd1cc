"""Cells of maps, for detectors that answer in each of them, and which answers are left."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from vitlab.ops.answers import surest
from vitlab.ops.boxes import Detections, Objects, area, clip


class Cells(NamedTuple):
  """All cells: map after map, row after row.

  Attributes:
    corners: Upper left ones, (x, y) in cells: whole numbers.
    strides: Pixels of a side.
  """

  corners: Float[np.ndarray, 'q 2']
  strides: Float[np.ndarray, ' q']


class Keep(NamedTuple):
  """Which answers are kept.

  Attributes:
    score: The least.
    overlap: The largest IoU with a surer one of the same class (`vitlab.ops.nms`).
    candidates: How many of the surest are compared with each other.
    detections: How many are left at most.
  """

  score: float = 0.01
  overlap: float = 0.65
  candidates: int = 1000
  detections: int = 100


def cells(maps: Sequence[Array], strides: Sequence[int], repeat: int = 1) -> Cells:
  """The cells of some maps.

  Args:
    maps: [b h w c] each.
    strides: Pixels of a cell's side, of each map.
    repeat: How often each cell comes, one after the other.
  """
  corners, sides = [], []
  for level, stride in zip(maps, strides):
    rows, columns = np.mgrid[: level.shape[1], : level.shape[2]]
    corners.append(np.stack([columns, rows], -1).reshape(-1, 2).repeat(repeat, 0))
    sides.append(np.full(len(corners[-1]), stride))
  dtype = np.dtype(jnp.promote_types(maps[0].dtype, jnp.float32))
  return Cells(np.concatenate(corners).astype(dtype), np.concatenate(sides).astype(dtype))


def side_by_side(maps: Sequence[Array]) -> Float[Array, 'b q *k']:
  """What some maps, [b h w ...] each, have in their cells, in the order of `cells`."""
  return jnp.concatenate([x.reshape(x.shape[0], -1, *x.shape[3:]) for x in maps], axis=1)


class Told(NamedTuple):
  """What cells are told.

  Attributes:
    answers: Which have an object to answer for.
    boxes: Of their objects; in the other cells any.
    right: One for the class of the object, zero for the others.
  """

  answers: Bool[Array, 'b q']
  boxes: Float[Array, 'b q 4']
  right: Float[Array, 'b q classes']


def told(objects: Objects, owner: Int[Array, 'b q'], logits: Float[Array, 'b q classes']) -> Told:
  """What cells are told that answer for these objects.

  Args:
    objects: Of each picture.
    owner: The object of each cell; -1: none.
    logits: Of the classes, whose number and type are those of `right`.
  """
  answers, owner = owner >= 0, jnp.maximum(owner, 0)
  boxes = jnp.take_along_axis(objects.boxes, owner[..., None], axis=1)
  classes = jnp.take_along_axis(objects.classes, owner, axis=1)
  return Told(answers, boxes, jax.nn.one_hot(classes, logits.shape[-1], dtype=logits.dtype))


def detected(
  out: Mapping[str, Any], size: Int[Array, 'b 2'], keep: Keep, suppress: bool = True
) -> Detections:
  """The answers of `kept`, scored by p(object) · p(class | object).

  Args:
    out: What a detector gives of each cell: 'boxes', and the logits 'objectness' and 'logits'.
    size: See `kept`, as the other arguments.
    keep: Which ones.
    suppress: Whether an answer gives way to a surer one that overlaps it.
  """
  scores = jax.nn.sigmoid(out['objectness'])[..., None] * jax.nn.sigmoid(out['logits'])
  return kept(out['boxes'], scores, size, keep, suppress)


def kept(
  boxes: Float[Array, 'b q 4'],
  scores: Float[Array, 'b q classes'],
  size: Int[Array, 'b 2'],
  keep: Keep,
  suppress: bool = True,
) -> Detections:
  """The answers that are left, each with its surest class.

  Args:
    boxes: In each cell.
    scores: Of each class.
    size: Height and width of the picture: what lies outside of it is cut, and dropped if nothing
      remains.
    keep: Which ones.
    suppress: Whether an answer gives way to a surer one that overlaps it.
  """
  return jax.vmap(partial(_kept, keep=keep, suppress=suppress))(boxes, scores, size)


def _kept(boxes, scores, size, *, keep, suppress):
  classes, scores = scores.argmax(-1).astype(jnp.int32), scores.max(-1)
  seen = area(clip(boxes, size)) > 0
  found = surest(
    boxes,
    jnp.where((scores >= keep.score) & seen, scores, 0.0),
    classes,
    count=keep.detections,
    candidates=keep.candidates,
    iou_threshold=keep.overlap if suppress else None,
  )
  return found._replace(boxes=clip(found.boxes, size))
