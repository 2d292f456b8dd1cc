"""A generator against a discriminator (non-saturating). A batch holds `points` (b 2) and `mask`.

The discriminator counts its turns in a collection of its own, as a spectral norm would.
"""

import jax
import jax.numpy as jnp
import numpy as np

from vitlab.ops.losses import masked_mean
from vitlab.tasks import Assumed, Loss, Task

GENERATOR, DISCRIMINATOR = 'generator', 'discriminator'


def make(model):
  generator, discriminator = model.generator(), model.discriminator()

  def init(key, batch):
    first, second = jax.random.split(key)
    points = batch['points']
    noise = jnp.zeros((len(points), model.noise))
    return {
      DISCRIMINATOR: {
        **discriminator.init({'params': second}, points),
        'turns': {'count': jnp.zeros(())},
      },
      GENERATOR: generator.init({'params': first}, noise),
    }

  def drawn(variables, key, count):
    return generator.apply(variables[GENERATOR], jax.random.normal(key, (count, model.noise)))

  def score(variables, points):
    params = {'params': variables[DISCRIMINATOR]['params']}
    return discriminator.apply(params, points)

  def result(values, batch, mutated):
    value, count = masked_mean(values, batch['mask'])
    return Loss(value, {'loss': (value * count, count)}, mutated, weight=count)

  def judge(variables, batch, key):
    fake = drawn(variables, key, len(batch['points']))
    real, fake = score(variables, batch['points']), score(variables, fake)
    turns = {'turns': {'count': variables[DISCRIMINATOR]['turns']['count'] + 1}}
    values = jax.nn.softplus(-real) + jax.nn.softplus(fake)
    return result(values, batch, {DISCRIMINATOR: turns})

  def forge(variables, batch, key):
    fake = score(variables, drawn(variables, key, len(batch['points'])))
    return result(jax.nn.softplus(-fake), batch, {})

  def samples(variables, batch):
    """One point for each example: its noise depends on its number alone."""
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(batch['index'])
    noise = jax.vmap(lambda key: jax.random.normal(key, (model.noise,)))(keys)
    return generator.apply(variables[GENERATOR], noise)

  return Task(init, {DISCRIMINATOR: judge, GENERATOR: forge}, {'samples': samples})


def example(facts):
  del facts
  return dict(points=np.zeros(2, np.float32))


def assumed(data, model):
  del data, model
  return Assumed({}, example({}))
