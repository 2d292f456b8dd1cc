"""Steps of several players, and of models with a memory."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from _helpers.steps import GENERATOR, KEY, run, start

from vitlab.tasks import Loss, Task
from vitlab.train import sharding, step


# A game: the discriminator d scores points, the generator g moves them; both see each other.
def game():
  def init(key, batch):
    del key, batch
    return {
      'discriminator': {'params': {'d': jnp.array([0.3, -0.2])}, 'seen': {'count': jnp.zeros(())}},
      'generator': {'params': {'g': jnp.array([0.5, 0.1])}},
    }

  def discriminator_loss(variables, batch, key):
    del key
    d, g = variables['discriminator']['params']['d'], variables['generator']['params']['g']
    value = jnp.mean(jax.nn.softplus(-batch['image'] @ d)) + jax.nn.softplus(g @ d)
    seen = {'seen': {'count': variables['discriminator']['seen']['count'] + 1}}
    return Loss(value, {'loss': (value, jnp.ones(()))}, {'discriminator': seen})

  def generator_loss(variables, batch, key):
    del key, batch
    d, g = variables['discriminator']['params']['d'], variables['generator']['params']['g']
    # Reads what the discriminator left a moment ago.
    value = jax.nn.softplus(-g @ d) * variables['discriminator']['seen']['count']
    return Loss(value, {'loss': (value, jnp.ones(()))}, {})

  players = {'discriminator': discriminator_loss, 'generator': generator_loss}
  return Task(init, players, {})


def test_players_move_in_order_on_what_the_others_left():
  points = jnp.array(GENERATOR.normal(size=(8, 2)), jnp.float32)
  optimizers = {'discriminator': optax.sgd(0.5), 'generator': optax.sgd(0.2)}
  state, train_step = start(game(), optimizers, {'image': points})
  state, metrics = run(state, train_step, 4, {'image': points})

  def sigmoid(x):
    return 1 / (1 + np.exp(-x))

  d, g, x = np.array([0.3, -0.2]), np.array([0.5, 0.1]), np.array(points, np.float64)
  for i in range(4):
    grad_d = -(sigmoid(-x @ d)[:, None] * x).mean(0) + sigmoid(g @ d) * g
    d = d - 0.5 * grad_d
    grad_g = -sigmoid(-g @ d) * d * (i + 1)
    g = g - 0.2 * grad_g
  np.testing.assert_allclose(state.variables['discriminator']['params']['d'], d, rtol=1e-5)
  np.testing.assert_allclose(state.variables['generator']['params']['g'], g, rtol=1e-5)
  names = {f'{p}_{m}' for p in ('discriminator', 'generator') for m in ('loss', 'grad_norm')}
  assert set(metrics[-1]) == names
  norm = metrics[-1]['generator_grad_norm'][0]
  np.testing.assert_allclose(norm, np.linalg.norm(grad_g), rtol=1e-5)


def test_players_with_microbatches():
  points = jnp.array(GENERATOR.normal(size=(8, 2)), jnp.float32)
  optimizers = {'discriminator': optax.sgd(0.5), 'generator': optax.sgd(0.2)}
  state, train_step = start(game(), optimizers, {'image': points}, microbatches=4)
  state, _ = run(state, train_step, 2, {'image': points})
  assert float(state.variables['discriminator']['seen']['count']) == 8


# A model with a memory: each row adds what it has seen to what its row saw before.
def recurrent():
  def init(key, batch):
    del key
    return {'model': {'params': {'w': jnp.ones(())}, 'memory': {'sum': jnp.zeros(len(batch['x']))}}}

  def loss(variables, batch, key):
    del key
    w, memory = variables['model']['params']['w'], variables['model']['memory']['sum']
    now = memory * 0.5 + w * batch['x']
    value = jnp.mean(now**2)
    mutated = {'model': {'memory': {'sum': now}}}
    return Loss(value, {'loss': (value * len(now), jnp.float32(len(now)))}, mutated, len(now))

  return Task(init, {'model': loss}, {})


@pytest.mark.parametrize('microbatches', [2, 4])
def test_a_memory_belongs_to_its_row_whatever_the_microbatches(microbatches):
  batch = {'x': jnp.arange(8.0)}
  one, metrics_one = run(*start(recurrent(), {'model': optax.sgd(0.01)}, batch), 3, batch)
  many, metrics_many = run(
    *start(recurrent(), {'model': optax.sgd(0.01)}, batch, microbatches=microbatches), 3, batch
  )
  assert np.ptp(one.variables['model']['memory']['sum']) > 1
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), many.variables, one.variables
  )
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), metrics_many, metrics_one)


def test_a_memory_lies_as_the_batch_does():
  batch = {'x': jnp.arange(8.0)}
  mesh = sharding.make_mesh(dict(data=-1, fsdp=1, model=1), jax.devices()[:8])
  state = step.init_state(recurrent(), {'model': optax.sgd(0.01)}, KEY, batch)
  placed = sharding.state_shardings(state, mesh)
  assert placed.variables['model']['memory']['sum'] == sharding.batch_sharding(mesh)
  one, _ = run(*start(recurrent(), {'model': optax.sgd(0.01)}, batch), 3, batch)
  state = jax.device_put(state, placed)
  train_step = step.make_train_step(recurrent(), {'model': optax.sgd(0.01)}, seed=1)
  jitted = jax.jit(train_step, out_shardings=(placed, None))
  many, _ = run(state, jitted, 3, jax.device_put(batch, sharding.batch_sharding(mesh)))
  assert many.variables['model']['memory']['sum'].sharding == sharding.batch_sharding(mesh)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), many.variables, one.variables
  )
