"""Detection: which objects are in a picture, and the box around each.

A batch holds `image` (uint8, b h w c, padded at the bottom and at the right), `size` (int32, b 2:
height and width of what is no padding), `boxes` (float32, b o 4: left, top, right and bottom in
pixels of the padded picture), `classes` (int32, b o: -1 where there is no object) and `mask` (bool,
b; all True where absent).

A detector is a module with two pure functions beside its forward pass, for what is a loss and what
is an answer differs between detectors as much as their layers do:

  module(image, size, train=False, objects=None) -> out    arrays by name; objects only in training
  module.losses(out, objects, size, mask)                  name -> `vitlab.ops.boxes.Term`
  module.detect(out, size, suppress=True) -> Detections    suppress=False: before non-maximum
                                                           suppression, where the detector has one
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from vitlab.errors import UserError
from vitlab.ops import augment_boxes
from vitlab.ops.augment_boxes import Sample
from vitlab.ops.boxes import Objects, Term
from vitlab.ops.color import normalize
from vitlab.tasks import Assumed, Batch, Key, Loss, Task, Variables, apply_train, mask_of
from vitlab.tasks._images import pixels

UNIT, INPUTS = 'images', ('image',)
FEW = 8  # objects in a picture of data that are not here


def make(
  model: nn.Module,
  augment: str = '',
  mean: Sequence[float] = (0.5,),
  std: Sequence[float] = (0.5,),
  fill: Sequence[float | int] | None = None,
) -> Task:
  """Builds the task around a detector.

  Args:
    model: A detector, see above; draws what is random from the rng stream 'dropout'.
    augment: A pipeline of `vitlab.ops.augment_boxes`; in training only.
    mean: Of the pixels in [0, 1], one for all channels or one for each; subtracted.
    std: Divided by. The defaults bring the pixels to [-1, 1].
    fill: The colour of the padding, 0 to 255, one value or one a channel; None: what is zero once
      it is normalised.

  Raises:
    UserError: an unknown augmentation; with the first batch, a colour, mean or std that does not
      fit its channels.
  """
  pipeline = augment_boxes.compile(augment)

  def seen(image: Float[Array, 'b h w c'], size: Int[Array, 'b 2']) -> Float[Array, 'b h w c']:
    padding = 0.0 if fill is None else normalize(_colour(fill, image), mean, std)
    return jnp.where(
      valid(size, *image.shape[1:3])[..., None], normalize(image, mean, std), padding
    )

  def init(key: Key, batch: Batch) -> Variables:
    image, size = pixels(batch['image']), batch['size']
    return {'model': model.init({'params': key}, seen(image, size), size, train=False)}

  def training_loss(variables: Variables, batch: Batch, key: Key) -> Loss:
    augment_key, dropout_key = jax.random.split(key)
    mask = mask_of(batch)
    sample = pipeline(augment_key, _sample(batch, mask))
    objects = Objects(sample.boxes, sample.classes)
    inputs = seen(sample.image, sample.size), sample.size
    out, mutated = apply_train(model, variables['model'], *inputs, key=dropout_key, objects=objects)
    terms = model.losses(out, objects, sample.size, mask)
    value, count = total(terms), jnp.sum(mask, dtype=jnp.float32)
    metrics = {name: (term.sum, term.count) for name, term in terms.items()}
    outputs = dict(sample=sample, mask=mask, out=out)
    return Loss(
      value, metrics | {'loss': (value * count, count)}, {'model': mutated}, count, outputs
    )

  def forward(variables: Variables, batch: Batch) -> dict[str, Any]:
    size = batch['size']
    return model.apply(variables['model'], seen(pixels(batch['image']), size), size, train=False)

  def detections(variables: Variables, batch: Batch) -> dict[str, Array]:
    return model.detect(forward(variables, batch), batch['size'])._asdict()

  def candidates(variables: Variables, batch: Batch) -> dict[str, Array]:
    return model.detect(forward(variables, batch), batch['size'], suppress=False)._asdict()

  predict = dict(detections=detections, candidates=candidates, intermediates=forward)
  return Task(init, {'model': training_loss}, predict)


def example(facts: Mapping[str, Any]) -> dict[str, Any]:
  """An example of the data set, all zero, with no object in it.

  Args:
    facts: Those of the data set; `max_objects` and its `image` are read.
  """
  (height, width), channels = facts['image']['image_size'], facts['image']['channels']
  return dict(
    image=np.zeros((height, width, channels), np.uint8),
    size=np.array([height, width], np.int32),
    boxes=np.zeros((facts['max_objects'], 4), np.float32),
    classes=np.full(facts['max_objects'], -1, np.int32),
  )


def assumed(data: Mapping[str, Any], model: Mapping[str, Any]) -> Assumed | None:
  """What a config says of pictures that are not here: their size, and the classes of the model."""
  size, num_classes = data.get('image_size'), model.get('num_classes')
  if not size or not num_classes:
    return None
  # The largest shape that there can be: pictures of both orientations in one batch.
  side = size if isinstance(size, int) else max(size)
  image = dict(image_size=(side, side), channels=data.get('channels', 3), resize='fit')
  facts = dict(num_classes=num_classes, max_objects=data.get('max_objects') or FEW, image=image)
  return Assumed(facts, example(facts))


def total(terms: Mapping[str, Term]) -> Float[Array, '']:
  """What is differentiated: every term's mean, times its weight."""
  means = [term.weight * term.sum / jnp.maximum(term.count, 1) for term in terms.values()]
  return jnp.sum(jnp.stack(means))


def valid(size: Int[Array, 'b 2'], height: int, width: int) -> Bool[Array, 'b h w']:
  """Which pixels are of the picture and no padding."""
  rows, columns = jnp.arange(height) < size[:, :1], jnp.arange(width) < size[:, 1:]
  return rows[:, :, None] & columns[:, None, :]


def _sample(batch: Batch, mask: Bool[Array, ' b']) -> Sample:
  """What is augmented; rows that do not count are black and empty, for they may mix into others."""
  image = jnp.where(mask[:, None, None, None], pixels(batch['image']), 0.0)
  boxes = jnp.where(mask[:, None, None], batch['boxes'], 0.0)
  return Sample(image, batch['size'], boxes, jnp.where(mask[:, None], batch['classes'], -1))


def _colour(fill: Sequence[float | int], image: Float[Array, 'b h w c']) -> Float[Array, '1 1 c']:
  channels = image.shape[-1]
  if len(fill) not in (1, channels):
    raise UserError(
      f'fill has {len(fill)} values, but images have {channels} channels: give one value, or one '
      'per channel'
    )
  return jnp.broadcast_to(jnp.asarray(fill, image.dtype) / 255, (1, 1, channels))
