"""DETR: objects found as a set, with nothing to suppress (Carion et al. 2020, arXiv:2005.12872).

A backbone makes a map of the picture; an encoder of self-attention reads it; each of a fixed number
of learned object queries asks a decoder for one object, and gets its class and its box, or 'no
object'. In training every object is matched with one query, and the others are to say 'no object':
that is why no two of them find the same one. Behind every layer of the decoder the same heads are
trained (auxiliary losses); the last layer answers.

What helps to learn from small data sets, of which the last two are gone after training:

  focus         queries with a learned box each, around which they look (spatially modulated
                attention, Gao et al. 2021, arXiv:2101.07448; DAB-DETR, Liu et al. 2022,
                arXiv:2201.12329)
  query_groups  more sets of queries, each matched by itself: several queries learn from each object
                (Group DETR, Chen et al. 2022, arXiv:2207.13085)
  denoising     queries that are told the objects with mistakes and put them right (DN-DETR, Li et
                al. 2022, arXiv:2203.01305)

In: float images `b h w c`, normalised, zero outside of `size`. Out: a dict of arrays. Classes count
from 0; behind the last of them, in the logits alone, stands 'no object'. Loads DETR of Meta and of
Hugging Face (`vitlab.pretrained.families.detr`).
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vitlab.errors import UserError
from vitlab.layers.attention import CrossAttention, SelfAttention
from vitlab.layers.blocks import Block
from vitlab.layers.choices import Size, check_rates, compute_dtype, pick_size
from vitlab.layers.dense import Dense, fan_init
from vitlab.layers.mlp import make_mlp
from vitlab.layers.norms import make_norm
from vitlab.layers.object_queries import Focus, ObjectQueries, Queries
from vitlab.layers.stack import Stack, check_remat
from vitlab.ops import boxes as box_ops
from vitlab.ops import set_loss
from vitlab.ops.boxes import Detections, Objects, Term
from vitlab.ops.positions import sincos_of_area

VARIANTS = {
  'mu': Size(16, 2, 2, 32),  # for tests
  'tiny': Size(64, 2, 4, 128),  # for pictures of about 64 pixels on CPUs
  'small': Size(128, 3, 8, 512),
  'base': Size(256, 6, 8, 2048),  # section A.4 of the paper
}


def in_projection(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
  """Xavier uniform of queries, keys and values as one matrix of d by 3 d, as in torch."""
  init = fan_init('fan_avg', 'uniform', groups=len(shape) - 3)
  return init(key, shape, dtype) * jnp.asarray(0.5**0.5, dtype)


LINEAR = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')  # torch's own


class BoxHead(nn.Module):
  """Three layers that make a box of a query's vector: logits of its centre, width and height.

  Attributes:
    dtype: What is computed in.
  """

  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, '*b d']) -> Float[Array, '*b 4']:
    for i in range(2):
      x = nn.relu(Dense(x.shape[-1], dtype=self.dtype, kernel_init=LINEAR, name=f'layer_{i}')(x))
    return Dense(4, dtype=self.dtype, kernel_init=LINEAR, name='layer_2')(x)


class DETR(nn.Module):
  """DETR, composed of its parts.

  Attributes:
    backbone: (image, train) -> (anything, a dict with maps 'levels'), of which the last is read.
    projection: Of its channels to the width of all that follows.
    encoder: Of the map.
    decoder: Of the queries; its blocks look at the map.
    decoder_norm: Behind every layer of the decoder, before the heads.
    class_head: What a query has found -> logits of the classes and, last, of 'no object'.
    box_head: What a query has found -> logits of its box.
    object_queries: What asks.
    focus: Where queries with anchors look; None: they have none, and look anywhere.
    no_object_weight: Of a query without object in the loss of classes; 1 of one with an object.
  """

  backbone: nn.Module
  projection: nn.Module
  encoder: Stack
  decoder: Stack
  decoder_norm: nn.Module
  class_head: nn.Module
  box_head: nn.Module
  object_queries: ObjectQueries
  focus: Focus | None = None
  no_object_weight: float = 0.1

  @nn.compact
  def __call__(
    self,
    image: Float[Array, 'b h w c'],
    size: Int[Array, 'b 2'],
    train: bool = False,
    objects: Objects | None = None,
  ) -> dict[str, Any]:
    """Asks for objects.

    Args:
      image: Normalised images, padded at the bottom and at the right with zeros.
      size: Height and width of what is no padding.
      train: Whether dropout acts (the rng 'dropout'), and the queries of training ask as well.
      objects: What there is; read in training, for denoising.

    Returns:
      'logits' and 'boxes' (centre, width and height in sides of the picture, from 0 to 1) behind
      every layer of the decoder, [b, layers, q, ...], the queries that answer first, then those of
      training; 'levels' of the backbone, 'encoded' (the map as the decoder sees it), and lists of
      the weights of all blocks: 'attention' [b n s s] of the encoder, 'query_attention' [b n q q]
      and 'cross_attention' [b n q s] of the decoder.
    """
    levels = self.backbone(image, train)[1]['levels']
    x = self.projection(levels[-1])
    b, h, w, d = x.shape
    counts = -(-size * jnp.array([h, w]) // jnp.array(image.shape[1:3]))
    mask = (jnp.arange(h) < counts[:, :1])[:, :, None] & (jnp.arange(w) < counts[:, 1:])[:, None]
    mask = mask.reshape(b, 1, 1, h * w)
    places = sincos_of_area(counts, (h, w), d, _at_least_float32(x.dtype)).reshape(b, h * w, d)
    x, encoder = self.encoder(x.reshape(b, h * w, d), train, mask=mask, position=places)

    queries = self.object_queries(size, train, objects)
    around = dict(memory=x, memory_mask=mask, memory_position=places)
    if self.focus is not None:
      around |= dict(memory_bias=self.focus(queries.anchors, counts, (h, w)))
    own = dict(position=queries.position, mask=queries.mask)
    _, decoder = self.decoder(queries.content, train, **own, **around)
    found = self.decoder_norm(jnp.stack([block['tokens'] for block in decoder], axis=1))
    return dict(
      logits=self.class_head(found),
      boxes=self._boxes(found, queries),
      levels=levels,
      encoded=x.reshape(b, h, w, d),
      attention=[block['attention'] for block in encoder],
      query_attention=[block['attention'] for block in decoder],
      cross_attention=[block['cross_attention'] for block in decoder],
    )

  def _boxes(self, found: Float[Array, 'b l t d'], queries: Queries) -> Float[Array, 'b l t 4']:
    """What the head says, of a query with an anchor relative to that."""
    logits = self.box_head(found)
    if queries.anchors is not None:
      anchors = jnp.clip(queries.anchors, 1e-3, 1 - 1e-3).astype(logits.dtype)
      logits += jnp.log(anchors / (1 - anchors))[:, None]
    return nn.sigmoid(logits)

  @nn.nowrap
  def losses(
    self, out: dict[str, Any], objects: Objects, size: Int[Array, 'b 2'], mask: Bool[Array, ' b']
  ) -> dict[str, Term]:
    """The terms of `vitlab.ops.set_loss.terms`."""
    one, asked = self.object_queries.number, out['logits'].shape[2]
    learned = one if asked == one else one * self.object_queries.groups
    options = one, learned, self.no_object_weight
    return set_loss.terms(out['logits'], out['boxes'], _relative(objects, size), mask, *options)

  @nn.nowrap
  def match(
    self, out: dict[str, Any], objects: Objects, size: Int[Array, 'b 2']
  ) -> Int[Array, 'b layers o']:
    """The query that each object is matched with behind each layer; -1 where there is none."""
    logits, boxes = (out[name][:, :, : self.object_queries.number] for name in ('logits', 'boxes'))
    return set_loss.match(logits, boxes, _relative(objects, size))

  @nn.nowrap
  def detect(
    self, out: dict[str, Any], size: Int[Array, 'b 2'], suppress: bool = True
  ) -> Detections:
    """What the queries have found, each its best class: nothing is to be suppressed."""
    del suppress
    queries = self.object_queries.number
    logits, boxes = (out[name][:, -1, :queries] for name in ('logits', 'boxes'))
    probability = nn.softmax(logits)[..., :-1]
    scores, order = jax.lax.top_k(probability.max(-1), queries)
    sort = jax.vmap(lambda x, order: x[order])
    boxes = box_ops.clip(set_loss.in_pixels(boxes, size), size)
    return Detections(sort(boxes, order), scores, sort(probability.argmax(-1), order))


def _relative(objects: Objects, size: Int[Array, 'b 2']) -> Objects:
  """The objects with boxes as the predictions have them."""
  return objects._replace(boxes=set_loss.relative(objects.boxes, size))


def make(
  num_classes: int,
  variant: str = 'base',
  *,
  backbone: nn.Module,
  num_queries: int = 100,
  focus: bool = False,
  query_groups: int = 1,
  denoising: int = 0,
  no_object_weight: float = 0.1,
  width: int | None = None,
  depth: int | None = None,
  num_heads: int | None = None,
  mlp_dim: int | None = None,
  norm_epsilon: float = 1e-5,
  dropout_rate: float = 0.1,
  scan: bool = False,
  remat: str = '',
  dtype: str = 'float32',
) -> DETR:
  """Composes a DETR.

  Args:
    num_classes: Of objects.
    variant: A size of `VARIANTS`.
    backbone: Spec of a model with 'levels', of which the last is read.
    num_queries: How many objects can be found in a picture: more than there ever are.
    focus: Whether each query has a learned box, looks around it and answers relative to it.
    query_groups: Sets of that many queries in training; 1 is the paper.
    denoising: How often denoising queries are told each object in training; 0 is the paper.
    no_object_weight: Of a query without object in the loss of classes.
    width: Channels of a token, instead of the variant's.
    depth: Blocks of the encoder, and as many of the decoder, instead of the variant's.
    num_heads: Heads of all attentions, instead of the variant's.
    mlp_dim: Hidden units of the mlps, instead of the variant's.
    norm_epsilon: Added to the variance in the norms.
    dropout_rate: Probability of dropout on branches, on weights of attention and in mlps.
    scan: Whether one block is compiled and looped over: less to compile, never another result.
    remat: What the backward pass keeps of a block, one of `vitlab.layers.stack.REMAT`; '' is
      everything. Less is memory against time, never another result.
    dtype: The type of what is computed behind the backbone, 'bfloat16' or 'float32'; heads, boxes
      and losses are at least float32.

  Raises:
    UserError: a word or number that cannot be used; lists what is possible.
  """
  check_rates(dropout_rate=dropout_rate)
  sizes = dict(width=width, depth=depth, num_heads=num_heads, mlp_dim=mlp_dim)
  size = pick_size('DETR', VARIANTS, variant, **sizes)
  _check(size.width, num_classes=num_classes, num_queries=num_queries, query_groups=query_groups)
  if not 0 < no_object_weight <= 1 or denoising < 0:
    raise UserError(
      f'DETR: no_object_weight={no_object_weight} needs to be above 0 and up to 1, '
      f'denoising={denoising} 0 or more'
    )
  compute = compute_dtype(dtype)
  exact = _at_least_float32(compute)
  new_block = partial(_block, size, norm_epsilon, dropout_rate, compute)
  new_stack = partial(Stack, depth=size.depth, scan=scan, remat=check_remat(remat))
  return DETR(
    backbone=backbone,
    projection=Dense(size.width, dtype=compute, kernel_init=LINEAR),
    encoder=new_stack(new_block(decodes=False)),
    decoder=new_stack(new_block(decodes=True)),
    decoder_norm=make_norm('layernorm', norm_epsilon, exact),
    class_head=Dense(num_classes + 1, dtype=exact, kernel_init=LINEAR),
    box_head=BoxHead(exact),
    object_queries=ObjectQueries(
      num_queries, size.width, focus, query_groups, denoising, num_classes, compute
    ),
    focus=Focus(size.num_heads) if focus else None,
    no_object_weight=no_object_weight,
  )


def _block(size, norm_epsilon, dropout_rate, compute, decodes) -> Block:
  options = dict(dtype=compute, dropout_rate=dropout_rate, kernel_init=in_projection)
  return Block(
    SelfAttention(size.num_heads, out_init=fan_init('fan_avg', 'uniform', axes=2), **options),
    make_mlp('relu', size.mlp_dim, dropout_rate, compute),
    make_norm('layernorm', norm_epsilon, compute),
    dropout_rate=dropout_rate,
    norm_place='post',
    cross=CrossAttention(size.num_heads, **options) if decodes else None,
  )


def _check(width: int, **counts: int) -> None:
  for name, count in counts.items():
    if count < 1:
      raise UserError(f'DETR: {name}={count} needs to be 1 or more')
  if width % 4:
    raise UserError(f'DETR: width={width} needs to be a multiple of 4, for sines and cosines')


def _at_least_float32(dtype: Any) -> Any:
  return jnp.promote_types(dtype, jnp.float32)
