"""Says what comes next, everywhere in a row. A batch holds `tokens` (int32, b t) and `mask`."""

import jax.numpy as jnp
import numpy as np

from vitlab.ops import losses
from vitlab.tasks import Assumed, Loss, Task


def make(model, label_smoothing=0.0):
  def init(key, batch):
    return {'model': model.init({'params': key}, batch['tokens'][:, :-1])}

  def scores(variables, batch, label_smoothing=0.0):
    logits, _ = model.apply(variables['model'], batch['tokens'][:, :-1])
    targets = batch['tokens'][:, 1:]
    mask = jnp.broadcast_to(batch['mask'][:, None], targets.shape)
    values = losses.token_cross_entropy(logits, targets, mask=mask, label_smoothing=label_smoothing)
    return values, (jnp.argmax(logits, axis=-1) == targets) & mask, mask

  def loss(variables, batch, key):
    del key
    values, right, mask = scores(variables, batch, label_smoothing)
    value, count = losses.masked_mean(values, mask)
    metrics = {'loss': (values.sum(), count), 'accuracy': (right.sum(dtype=jnp.float32), count)}
    return Loss(value, metrics, {}, weight=count)

  def following(variables, batch):
    logits, _ = model.apply(variables['model'], batch['tokens'])
    return jnp.argmax(logits[:, -1], axis=-1)

  predict = {'losses': lambda v, b: scores(v, b)[0], 'following': following}
  return Task(init, {'model': loss}, predict)


def example(facts):
  return dict(tokens=np.zeros(facts.get('length', 2), np.int32))


def assumed(data, model):
  if not data.get('length') or not model.get('vocab_size'):
    return None
  facts = dict(vocab_size=model['vocab_size'], length=data['length'])
  return Assumed(facts, example(facts))
