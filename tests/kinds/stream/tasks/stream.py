"""Follows a fading sum over rows that go on in the next batch.

A batch holds `signal` and `target` (float32, b t) and `mask`. In training the memory is carried
from step to step; a prediction has none, so that a row is a stream of its own, read from its start.
"""

import jax.numpy as jnp
import numpy as np

from vitlab.ops.losses import masked_mean
from vitlab.tasks import BY_ROW, Assumed, Loss, Task


def make(model):
  def init(key, batch):
    return {'model': model.init({'params': key}, batch['signal'])}

  def loss(variables, batch, key):
    del key
    (found, _), mutated = model.apply(
      variables['model'], batch['signal'], train=True, mutable=list(BY_ROW)
    )
    errors = jnp.mean((found - batch['target']) ** 2, axis=1)
    value, count = masked_mean(errors, batch['mask'])
    return Loss(value, {'loss': (value * count, count)}, {'model': mutated}, weight=count)

  def followed(variables, batch):
    fresh = {'params': variables['model']['params']}
    (found, _), _ = model.apply(fresh, batch['signal'], mutable=list(BY_ROW))
    return found

  return Task(init, {'model': loss}, {'followed': followed})


def example(facts):
  row = np.zeros(facts['length'], np.float32)
  return dict(signal=row, target=row)


def assumed(data, model):
  del model
  if not data.get('length'):
    return None
  facts = dict(length=data['length'])
  return Assumed(facts, example(facts))
