"""Object queries: each asks a decoder for one object of a picture.

DETR, Carion et al. 2020 (arXiv:2005.12872). A query is a content, which the layers of the decoder
change, and a position, which is learned and added in every layer. It may be that of a learned box,
its anchor, around which the query looks (DAB-DETR, Liu et al. 2022, arXiv:2201.12329). Queries of
training alone come in groups that do not see each other.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vitlab.layers.dense import Dense
from vitlab.layers.mlp import XAVIER
from vitlab.ops import set_loss
from vitlab.ops.boxes import Objects
from vitlab.ops.denoising import disturb
from vitlab.ops.positions import Grid, sincos_1d

SIDE = 0.3  # of an anchor at the start, in sides of the picture


class Queries(NamedTuple):
  """What asks, those that answer first.

  Attributes:
    content: Zero, but of denoising queries.
    position: Added to the content in every layer.
    mask: Which of them see each other; None: all.
    anchors: Boxes (centre, width and height) in sides of the picture; None: they have none.
  """

  content: Float[Array, 'b t d']
  position: Float[Array, 'b t d']
  mask: Bool[Array, 'b 1 t t'] | None
  anchors: Float[Array, 'b t 4'] | None


class ObjectQueries(nn.Module):
  """Learned queries, and those that training adds.

  Attributes:
    number: Of the queries that answer.
    width: Of the vectors.
    anchored: Whether a box is learned for each, instead of a vector.
    groups: Sets of that many learned queries in training; only the first one answers (Group DETR,
      Chen et al. 2022, arXiv:2207.13085).
    denoising: How often each object of the picture is told to queries that put it right, in
      training (DN-DETR, Li et al. 2022, arXiv:2203.01305).
    num_classes: Of objects.
    dtype: Of the vectors.
  """

  number: int
  width: int
  anchored: bool = False
  groups: int = 1
  denoising: int = 0
  num_classes: int = 1
  dtype: Any = jnp.float32

  def setup(self):
    shape, init = (self.number, self.width), nn.initializers.normal(1.0)
    if self.anchored:
      shape, init = (self.number, 4), scattered
    self.learned = self.param('learned', init, shape, jnp.float32)
    if self.groups > 1:
      self.more = self.param('more', init, (self.groups - 1, *shape), jnp.float32)
    if self.denoising:
      self.class_embed = nn.Embed(self.num_classes, self.width, dtype=self.dtype)
    if self.denoising or self.anchored:
      self.box_embed = Dense(self.width, dtype=self.dtype, kernel_init=XAVIER)

  def __call__(
    self, size: Int[Array, 'b 2'], train: bool = False, objects: Objects | None = None
  ) -> Queries:
    """The queries for pictures of these sizes, in which there are these objects."""
    if self.denoising and self.is_initializing():
      self._told(Objects(jnp.zeros((1, 1, 4)), jnp.zeros((1, 1), jnp.int32)))
    asked, group = self._learned(size, train)
    if self.denoising and train and objects is not None:
      told, numbers = self._disturbed(size, objects)
      asked = jax.tree.map(lambda *x: jnp.concatenate(x, axis=1), asked, told)
      group = jnp.concatenate([group, self.groups + numbers], axis=1)
    alone = group.shape[1] == self.number
    mask = None if alone else (group[:, :, None] == group[:, None])[:, None]
    return asked._replace(mask=mask)

  def _learned(self, size: Int[Array, 'b 2'], train: bool) -> tuple[Queries, Int[Array, 'b t']]:
    """The queries that are learned, and the group of each."""
    learned, group = self.learned, jnp.zeros(self.number, jnp.int32)
    if self.groups > 1 and train:
      learned = jnp.concatenate([learned, self.more.reshape(-1, learned.shape[-1])])
      group = jnp.repeat(jnp.arange(self.groups), self.number)
    anchors, position = None, learned.astype(self.dtype)
    if self.anchored:
      anchors = nn.sigmoid(learned)
      position = self._place(anchors)
    content = jnp.zeros_like(position)
    rows = lambda x: jnp.broadcast_to(x, (size.shape[0], *x.shape))  # noqa: E731
    queries = Queries(content, position, None, anchors)
    return jax.tree.map(rows, queries), rows(group)

  def _disturbed(
    self, size: Int[Array, 'b 2'], objects: Objects
  ) -> tuple[Queries, Int[Array, 'b t']]:
    """Denoising queries, and the number of the group of each; where there is no object, far above:
    nobody sees it."""
    o, told = objects.classes.shape[1], self.denoising
    objects = Objects(set_loss.relative(objects.boxes, size), objects.classes)
    key, number = self.make_rng('dropout'), jnp.arange(told * o)
    present = jnp.tile(objects.classes >= 0, told)
    return (
      self._told(disturb(key, objects, told, self.num_classes)),
      jnp.where(present, number // o, told + number),
    )

  def _told(self, objects: Objects) -> Queries:
    """Contents that say what objects are, positions that say where; boxes as in `disturb`."""
    content = self.class_embed(jnp.maximum(objects.classes, 0))
    anchors = objects.boxes if self.anchored else None
    return Queries(content, self._place(objects.boxes), None, anchors)

  def _place(self, boxes: Float[Array, '*b t 4']) -> Float[Array, '*b t d']:
    """The position of boxes, by the sines of their centres and sides."""
    sides = sincos_1d(boxes * (2 * jnp.pi), self.width // 2, interleaved=True)
    return self.box_embed(sides.reshape(*boxes.shape[:-1], -1))


class Focus(nn.Module):
  """Where queries look: near their anchors, each head as closely as it has learned.

  Spatially modulated attention, Gao et al. 2021 (arXiv:2101.07448), equation 3, around anchors: the
  logits of attention fall with the squared distance, in sides of the anchor.

  Attributes:
    num_heads: Of the attention.
  """

  num_heads: int

  @nn.compact
  def __call__(
    self, anchors: Float[Array, 'b t 4'], counts: Int[Array, 'b 2'], grid: Grid
  ) -> Float[Array, 'b n t s']:
    """The bias of the logits of each query, for a map of this shape.

    Args:
      anchors: Of the queries.
      counts: Rows and columns of the map that are no padding.
      grid: Rows and columns.
    """
    closeness = self.param('closeness', nn.initializers.constant(0.5), (self.num_heads,))
    apart = 0.0
    for axis in (0, 1):  # y, x
      place = (jnp.arange(grid[axis]) + 0.5) / counts[:, axis, None]
      centre, side = anchors[..., 1 - axis], jnp.maximum(anchors[..., 3 - axis], 0.01)
      squares = jnp.square((place[:, None] - centre[..., None]) / side[..., None])
      apart += squares[:, :, None] if axis else squares[..., None]
    apart = apart.reshape(*anchors.shape[:2], -1)
    return -nn.softplus(closeness)[:, None, None] * apart[:, None]


def scattered(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Float[Array, '... 4']:
  """Logits of anchors of one size whose centres lie anywhere in the picture."""
  centres = jax.random.uniform(key, (*shape[:-1], 2), dtype, 0.05, 0.95)
  boxes = jnp.concatenate([centres, jnp.full_like(centres, SIDE)], axis=-1)
  return jnp.log(boxes / (1 - boxes))
