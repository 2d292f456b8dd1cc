"""From scored boxes to answers, in fixed numbers."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vitlab.ops.boxes import Detections
from vitlab.ops.nms import batched_nms


def surest(
  boxes: Float[Array, 'n 4'],
  scores: Float[Array, ' n'],
  classes: Int[Array, ' n'],
  *,
  count: int,
  candidates: int,
  iou_threshold: float | None,
) -> Detections:
  """The surest boxes of one picture (`jax.vmap` for several).

  Args:
    boxes: Several of one place, too, one for each class.
    scores: 0 of what is no answer.
    classes: Of the boxes.
    count: How many answers there are at most.
    candidates: How many boxes meet non-maximum suppression, class by class.
    iou_threshold: Of it; None: it is left out.
  """
  scores, best = jax.lax.top_k(scores, min(candidates, len(scores)))
  boxes, classes = boxes[best], classes[best]
  index = jnp.arange(min(count, len(scores)))
  kept = jnp.ones(index.shape, bool)
  if iou_threshold is not None:
    index, kept = batched_nms(boxes, scores, classes, iou_threshold, len(index))
  kept &= scores[index] > 0
  return Detections(
    jnp.where(kept[:, None], boxes[index], 0),
    jnp.where(kept, scores[index], 0),
    jnp.where(kept, classes[index], -1),
  )
