"""Non-maximum suppression with fixed shapes: of boxes that say the same, the surest stays.

What is kept comes in the order and with the ties of torchvision. A score of -inf is no box at all:
so a caller leaves boxes out. All functions are of one picture; `jax.vmap` makes them of many.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vitlab.ops.boxes import iou, pairwise_iou

Boxes = Float[Array, 'n 4']
Scores = Float[Array, ' n']
Classes = Int[Array, ' n']


def nms(
  boxes: Boxes, scores: Scores, iou_threshold: float, max_kept: int
) -> tuple[Int[Array, ' kept'], Bool[Array, ' kept']]:
  """The surest boxes, without those that overlap a surer kept one by more than the threshold.

  Equal scores count in the order of input, NaN first; a box that is empty or has a NaN overlaps
  nothing. An IoU is compared in the type of the boxes, as torchvision does on GPUs; on CPUs it does
  so in float64, where 0.3 in float32 is above a threshold of 0.3.

  Args:
    boxes: xyxy.
    scores: How sure each box is; -inf: not there.
    iou_threshold: Largest IoU of two kept boxes.
    max_kept: Rows of the answer.

  Returns:
    Which boxes are kept, the surest first, and which rows of this answer hold one at all.
  """
  return batched_nms(boxes, scores, jnp.zeros(scores.shape, jnp.int32), iou_threshold, max_kept)


def batched_nms(
  boxes: Boxes, scores: Scores, classes: Classes, iou_threshold: float, max_kept: int
) -> tuple[Int[Array, ' kept'], Bool[Array, ' kept']]:
  """`nms` among the boxes of one class, of all classes at once.

  torchvision moves the classes apart instead, which does not separate boxes at negative places.
  """
  order = jnp.argsort(scores, descending=True, stable=True)
  kept = jax.lax.platform_dependent(
    boxes[order],
    classes[order],
    scores[order] != -jnp.inf,
    cpu=partial(_row_by_row, iou_threshold=iou_threshold),
    default=partial(_round_by_round, iou_threshold=iou_threshold),
  )
  (place,) = jnp.nonzero(kept, size=max_kept, fill_value=0)
  return order[place].astype(jnp.int32), jnp.arange(max_kept) < jnp.sum(kept)


def _row_by_row(boxes, classes, kept, *, iou_threshold):
  """Each box in turn removes later ones: on a CPU a third of the time that all IoUs take."""
  place = jnp.arange(len(boxes))

  def remove(i, kept):
    alike = (iou(boxes[i], boxes) > iou_threshold) & (classes[i] == classes)
    return kept & ~(alike & kept[i] & (place > i))

  return jax.lax.fori_loop(0, len(boxes), remove, kept)


def _round_by_round(boxes, classes, kept, *, iou_threshold):
  """All boxes at once remove later ones, until that changes nothing: few steps of much work.

  Once all boxes before it are settled, a box is settled in one more round: the end is the same.
  """
  alike = (pairwise_iou(boxes, boxes) > iou_threshold) & (classes[:, None] == classes)
  place, present = jnp.arange(len(boxes)), kept
  removes = alike & (place[:, None] < place)

  def remove(state):
    _, kept = state
    return kept, present & ~jnp.any(removes & kept[:, None], axis=0)

  return jax.lax.while_loop(lambda s: jnp.any(s[0] != s[1]), remove, (~kept, kept))[1]


def gaussian(overlap: Float[Array, '*b'], sigma: float = 0.5) -> Float[Array, '*b']:
  """What `soft_nms` leaves of a score: exp(-IoU² / σ)."""
  return jnp.exp(-(overlap**2) / sigma)


def linear(overlap: Float[Array, '*b'], iou_threshold: float = 0.3) -> Float[Array, '*b']:
  """What `soft_nms` leaves of a score: 1 - IoU where that is above the threshold, else all."""
  return jnp.where(overlap > iou_threshold, 1 - overlap, 1)


def soft_nms(
  boxes: Boxes,
  scores: Scores,
  classes: Classes,
  max_kept: int,
  decay: Callable[[Float[Array, ' n']], Float[Array, ' n']] = gaussian,
  min_score: float = 0.001,
) -> tuple[Int[Array, ' kept'], Float[Array, ' kept']]:
  """Takes the surest box and lowers the scores of those it overlaps, again and again.

  Bodla et al. 2017 (arXiv:1704.04503), within each class.

  Args:
    boxes: xyxy.
    scores: How sure each box is; -inf: not there.
    classes: Of each box.
    max_kept: How many are taken.
    decay: Factor of a score, given the box's IoU with the one that was taken.
    min_score: What is less sure than this is taken no more.

  Returns:
    Which boxes were taken, the surest first, and the scores that they had by then; 0: none.
  """

  def take(scores, _):
    best = jnp.argmax(scores)
    lower = (classes == classes[best]) & (scores >= min_score)  # -inf * 0 would be NaN
    score = scores[best]
    scores = jnp.where(lower, scores * decay(iou(boxes[best], boxes)), scores)
    return scores.at[best].set(-jnp.inf), (best.astype(jnp.int32), score)

  _, (index, score) = jax.lax.scan(take, scores, length=max_kept)
  return index, jnp.where(score >= min_score, score, 0)
