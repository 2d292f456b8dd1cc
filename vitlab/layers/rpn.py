"""Region proposal network: where in a picture there may be anything (arXiv:1506.01497)."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from vitlab.errors import UserError
from vitlab.layers.conv import Conv
from vitlab.ops.anchors import grid
from vitlab.ops.boxes import Objects, Term
from vitlab.ops.proposals import Proposals, Sample, box_loss, draw, match, mean, pick, propose

PROPOSAL_IOU = 0.7  # above it, a worse proposal of the same level is suppressed
OBJECT_IOU, BACKGROUND_IOU = 0.7, 0.3  # an anchor has an object from here on, and none below
POSITIVE_SHARE = 0.5  # the most of a sample that have an object


class Numbers(NamedTuple):
  """How many boxes of a picture are proposals.

  Attributes:
    candidates: Of each level that meet non-maximum suppression.
    count: That remain of all levels.
  """

  candidates: int
  count: int


class RPN(nn.Module):
  """Asks at every pixel of a pyramid whether there is an object at an anchor, and where.

  Attributes:
    cells: Of each level its anchors around (0, 0), as many on every level.
    training: Numbers in training.
    testing: Numbers otherwise.
    num_samples: Anchors of a picture that are learned from.
    depth: 3×3 convolutions, each with a ReLU, before the two answers.
    dtype: What is computed in; the answers are at least float32.
  """

  cells: Sequence[Sequence[tuple[float, ...]]]
  training: Numbers = Numbers(2000, 2000)
  testing: Numbers = Numbers(1000, 1000)
  num_samples: int = 256
  depth: int = 1
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self,
    levels: Sequence[Array],
    shape: Sequence[int],
    size: Int[Array, 'b 2'],
    train: bool = False,
    objects: Objects | None = None,
  ) -> tuple[Proposals, dict[str, Any]]:
    """Proposes boxes.

    Args:
      levels: Maps b h w c from fine to coarse.
      shape: Height and width of the padded pictures.
      size: Height and width of each picture within its padding.
      train: Whether the numbers are those of training.
      objects: What there is to find, to draw anchors to learn from with the rng 'dropout'.

    Returns:
      Proposals, and 'anchors' [a 4], 'objectness' [b a] and 'anchor_deltas' [b a 4]: by level, row,
      column, and number at a pixel; with objects the `Sample` 'anchor_sample'.
    """
    objectness, deltas = self._ask(levels)
    if len(levels) != len(self.cells):
      raise UserError(
        f'anchor_sizes of {len(self.cells)} levels for a pyramid of {len(levels)}'
        '\ngive sizes for each map of the backbone, and for one level more'
      )
    anchors = [
      # Whole pixels, as torchvision divides; the last level may have a pixel more than fits.
      grid(*x.shape[1:3], tuple(n // m for n, m in zip(shape, x.shape[1:3])), np.asarray(cells))
      for x, cells in zip(levels, self.cells)
    ]
    anchors = [jnp.asarray(level, objectness.dtype) for level in anchors]
    numbers = self.training if train else self.testing
    find = partial(propose, anchors=anchors, iou_threshold=PROPOSAL_IOU, **numbers._asdict())
    proposals = jax.vmap(find)(objectness, deltas, size)
    out = dict(anchors=jnp.concatenate(anchors), objectness=objectness, anchor_deltas=deltas)
    if objects is not None:
      thresholds = dict(above=OBJECT_IOU, below=BACKGROUND_IOU, low_quality=True)
      matches = jax.vmap(partial(match, out['anchors'], **thresholds))(objects)
      numbers = dict(count=self.num_samples, positive_share=POSITIVE_SHARE)
      out['anchor_sample'] = draw(self.make_rng('dropout'), matches, **numbers)
    return proposals, out

  def _ask(self, levels: Sequence[Array]) -> tuple[Array, Array]:
    """Logits and deltas of all anchors; the same layers on every level."""
    options = dict(use_bias=True, kernel_init=nn.initializers.normal(0.01), dtype=self.dtype)
    convs = [Conv(levels[0].shape[-1], 3, **options, name=f'conv_{i}') for i in range(self.depth)]
    objectness = Conv(len(self.cells[0]), 1, **options, name='objectness')
    deltas = Conv(4 * len(self.cells[0]), 1, **options, name='deltas')
    answers = []
    for x in levels:
      for conv in convs:
        x = nn.relu(conv(x))
      answers.append((objectness(x).reshape(x.shape[0], -1), deltas(x).reshape(x.shape[0], -1, 4)))
    at_least = jnp.promote_types(self.dtype, jnp.float32)
    return tuple(jnp.concatenate(parts, axis=1).astype(at_least) for parts in zip(*answers))

  @nn.nowrap
  def losses(
    self, out: dict[str, Any], objects: Objects, mask: Bool[Array, ' b']
  ) -> dict[str, Term]:
    """'objectness', the mean over the sample, and 'anchor_box', whose sum is over objects alone."""
    drawn: Sample = out['anchor_sample']
    logits = pick(out['objectness'], drawn.index)
    wrong = jax.nn.softplus(logits) - drawn.found * logits
    deltas, anchors = pick(out['anchor_deltas'], drawn.index), out['anchors'][drawn.index]
    return dict(
      objectness=mean(wrong, drawn, mask),
      anchor_box=box_loss(deltas, anchors, objects, drawn, mask),
    )
