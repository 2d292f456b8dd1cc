"""Boxes and classes of pictures with one object.

A batch holds `image` (uint8, b h w c), `boxes` (float32, b 1 4: x1 y1 x2 y2 in shares of the
sides), `classes` (int32, b 1) and `mask`.
"""

import jax
import jax.numpy as jnp
import numpy as np

from vitlab.ops import losses
from vitlab.tasks import Assumed, Loss, Task


def make(model, num_classes):
  def pixels(batch):
    return batch['image'].astype(jnp.float32) / 255

  def init(key, batch):
    return {'model': model.init({'params': key}, pixels(batch))}

  def loss(variables, batch, key):
    del key
    logits, boxes = model.apply(variables['model'], pixels(batch), train=True)
    target = jax.nn.one_hot(batch['classes'][:, 0], num_classes)
    named = losses.softmax_cross_entropy(logits, target, mask=batch['mask'])
    placed = jnp.abs(boxes - batch['boxes'][:, 0]).sum(axis=-1) * batch['mask']
    value, count = losses.masked_mean(named + placed, batch['mask'])
    metrics = {'loss': ((named + placed).sum(), count), 'box_error': (placed.sum(), count)}
    return Loss(value, metrics, {}, weight=count)

  def detected(variables, batch):
    logits, boxes = model.apply(variables['model'], pixels(batch))
    return dict(boxes=boxes, classes=jnp.argmax(logits, axis=-1))

  return Task(init, {'model': loss}, {'detected': detected})


def example(facts):
  image = np.zeros((*facts['image']['image_size'], facts['image']['channels']), np.uint8)
  return dict(image=image, boxes=np.zeros((1, 4), np.float32), classes=np.zeros(1, np.int32))


def assumed(data, model):
  if not data.get('side') or not model.get('num_classes'):
    return None
  image = dict(image_size=(data['side'], data['side']), channels=1)
  facts = dict(num_classes=model['num_classes'], image=image)
  return Assumed(facts, example(facts))
