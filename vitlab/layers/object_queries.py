"""Object queries: each asks a decoder for one object of a picture.

DETR, Carion et al. 2020 (arXiv:2005.12872). A query is a content, which the layers of the decoder
change, and a position, which is learned and added in every layer. Those of training alone come in
groups that do not see each other.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vitlab.layers.dense import Dense
from vitlab.layers.mlp import XAVIER
from vitlab.ops import set_loss
from vitlab.ops.boxes import Objects
from vitlab.ops.denoising import disturb
from vitlab.ops.positions import sincos_1d


class Queries(NamedTuple):
  """What asks, those that answer first.

  Attributes:
    content: Zero, but of denoising queries.
    position: Added to the content in every layer.
    mask: Which of them see each other; None: all.
  """

  content: Float[Array, 'b t d']
  position: Float[Array, 'b t d']
  mask: Bool[Array, 'b 1 t t'] | None


class ObjectQueries(nn.Module):
  """Learned queries, and those that training adds.

  Attributes:
    number: Of the queries that answer.
    width: Of the vectors.
    groups: Sets of that many learned queries in training; only the first one answers (Group DETR,
      Chen et al. 2022, arXiv:2207.13085).
    denoising: How often each object of the picture is told to queries that put it right, in
      training (DN-DETR, Li et al. 2022, arXiv:2203.01305).
    num_classes: Of objects.
    dtype: Of the vectors.
  """

  number: int
  width: int
  groups: int = 1
  denoising: int = 0
  num_classes: int = 1
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, size: Int[Array, 'b 2'], train: bool = False, objects: Objects | None = None
  ) -> Queries:
    """The queries for pictures of these sizes, in which there are these objects."""
    n, width, groups, normal = self.number, self.width, self.groups, nn.initializers.normal(1.0)
    queries = self.param('learned', normal, (n, width), jnp.float32)
    group = jnp.zeros(n, jnp.int32)
    if groups > 1:
      more = self.param('more', normal, (groups - 1, n, width), jnp.float32)
      if train:
        queries = jnp.concatenate([queries, more.reshape(-1, width)])
        group = jnp.repeat(jnp.arange(groups), n)
    position = jnp.broadcast_to(queries.astype(self.dtype), (len(size), *queries.shape))
    content, group = jnp.zeros_like(position), jnp.broadcast_to(group, position.shape[:2])
    if self.denoising and self.is_initializing():
      self._told(Objects(jnp.zeros((len(size), 1, 4)), jnp.zeros((len(size), 1), jnp.int32)))
    if self.denoising and train and objects is not None:
      told, numbers = self._disturbed(size, objects)
      content, position = (jnp.concatenate(x, 1) for x in zip((content, position), told))
      group = jnp.concatenate([group, groups + numbers], axis=1)
    alone = position.shape[1] == n
    return Queries(
      content, position, None if alone else (group[:, :, None] == group[:, None])[:, None]
    )

  def _disturbed(
    self, size: Int[Array, 'b 2'], objects: Objects
  ) -> tuple[tuple[Array, Array], Int[Array, 'b t']]:
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

  def _told(self, objects: Objects) -> tuple[Float[Array, 'b t d'], Float[Array, 'b t d']]:
    """Contents that say what objects are, positions that say where; boxes as in `disturb`."""
    embed = nn.Embed(self.num_classes, self.width, dtype=self.dtype, name='class_embed')
    sides = sincos_1d(objects.boxes * (2 * jnp.pi), self.width // 2, interleaved=True)
    place = Dense(self.width, dtype=self.dtype, kernel_init=XAVIER, name='box_embed')
    return embed(jnp.maximum(objects.classes, 0)), place(sides.reshape(*sides.shape[:2], -1))
