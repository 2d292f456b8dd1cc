"""Spectral vectors move once in their own player's turn, whatever the microbatches and devices."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from _helpers.steps import KEY, assert_equal, copied, run, start

from vitlab.layers.norms import BatchNorm
from vitlab.layers.spectral import SpectralDense
from vitlab.tasks import Loss, Task
from vitlab.train import sharding, step

NUMBERS = np.random.default_rng(0)
BATCH = {
  'image': jnp.array(NUMBERS.normal(1, 1, (16, 3)), jnp.float32),
  'noise': jnp.array(NUMBERS.normal(0, 1, (16, 4)), jnp.float32),
}
PLAYERS = ('discriminator', 'generator')


class Forger(nn.Module):
  @nn.compact
  def __call__(self, noise, train=False):
    x = SpectralDense(5, name='hidden')(noise, train)
    x = nn.relu(BatchNorm(name='norm')(x, train))
    return SpectralDense(3, name='out')(x, train)


class Judge(nn.Module):
  @nn.compact
  def __call__(self, x, train=False):
    x = nn.relu(SpectralDense(6, name='hidden')(x, train))
    return SpectralDense(1, name='out')(x, train)[:, 0]


def game(moving=PLAYERS):
  """A GAN whose randomness is in its batch; in a turn only these players move."""
  forger, judge = Forger(), Judge()

  def init(key, batch):
    return {
      'discriminator': judge.init(key, batch['image']),
      'generator': forger.init(key, batch['noise']),
    }

  def draw(variables, batch):
    mutable = ['batch_stats', 'spectral']
    return forger.apply(variables['generator'], batch['noise'], train=True, mutable=mutable)

  def discriminator(variables, batch, key):
    del key
    fake, _ = draw(variables, batch)
    both = jnp.concatenate([batch['image'], fake])
    scores, moved = judge.apply(variables['discriminator'], both, train=True, mutable='spectral')
    real, fake = jnp.split(scores, 2)
    return result(jax.nn.relu(1 - real) + jax.nn.relu(1 + fake), 'discriminator', moved)

  def generator(variables, batch, key):
    del key
    fake, moved = draw(variables, batch)
    return result(-judge.apply(variables['discriminator'], fake), 'generator', moved)

  def result(values, player, moved):
    value, count = values.mean(), jnp.float32(len(values))
    return Loss(value, {'loss': (value * count, count)}, {player: moved}, count)

  losses = dict(discriminator=discriminator, generator=generator)
  return Task(init, {player: losses[player] for player in moving}, {})


def after(steps, moving=PLAYERS, learning_rate=0.1, before=None, **options):
  """The variables at first, and after some steps."""
  optimizers = {player: optax.sgd(learning_rate) for player in moving}
  state, train_step = start(game(moving), optimizers, BATCH, **options)
  state = state if before is None else state._replace(variables=jax.tree.map(jnp.array, before))
  first = copied(state.variables)
  return first, copied(run(state, train_step, steps, BATCH)[0].variables)


def iterated(variables, player, rounds):
  """u and v of every layer of a player after some rounds of power iteration in float64."""
  found = {}
  for name, layer in variables[player]['params'].items():
    if 'kernel' in layer:
      w, u = layer['kernel'].T.astype(np.float64), variables[player]['spectral'][name]['u']
      for _ in range(rounds):
        v = w.T @ u / np.linalg.norm(w.T @ u)
        u = w @ v / np.linalg.norm(w @ v)
      found[name] = dict(u=u, v=v)
  return found


def assert_close(a, b):
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), a, b)


@pytest.mark.parametrize('microbatches', [1, 2, 8])
def test_vectors_move_one_round_a_step_whatever_the_microbatches(microbatches):
  first, last = after(3, learning_rate=0.0, microbatches=microbatches)
  for player in PLAYERS:
    assert_close(last[player]['spectral'], iterated(first, player, 3))
    for rounds in (2, 4):  # which would be seen
      with pytest.raises(AssertionError):
        assert_close(last[player]['spectral'], iterated(first, player, rounds))


def test_vectors_of_microbatches_have_the_bits_of_the_whole_batch():
  _, whole = after(1)
  for microbatches in (2, 8):
    _, parts = after(1, microbatches=microbatches)
    for player in PLAYERS:
      assert_equal(parts[player]['spectral'], whole[player]['spectral'])


@pytest.mark.parametrize('microbatches', [1, 4])
def test_a_turn_leaves_every_bit_of_the_other_player(microbatches):
  first, between = after(1, ['discriminator'], microbatches=microbatches)
  assert_equal(between['generator'], first['generator'])
  _, last = after(1, ['generator'], before=between, microbatches=microbatches)
  assert_equal(last['discriminator'], between['discriminator'])
  # Not that nothing moved at all.
  for player, old, new in (('discriminator', first, between), ('generator', between, last)):
    moved = jax.tree.map(lambda x, y: np.abs(x - y).max() > 0, old[player], new[player])
    assert moved['params']['hidden']['kernel'] and moved['spectral']['hidden']['u']
    assert all(jax.tree.leaves(moved.get('batch_stats')))
  # Both turns in one step are one after the other.
  _, both = after(1, microbatches=microbatches)
  assert_close(both, last)


def test_statistics_pass_between_microbatches_while_vectors_do_not():
  first, last = after(1, ['generator'], learning_rate=0.0, microbatches=2)
  variables = jax.tree.map(jnp.array, first['generator'])
  expected = variables['batch_stats']
  for rows in (BATCH['noise'][0::2], BATCH['noise'][1::2]):
    _, moved = Forger().apply(
      {**variables, 'batch_stats': expected}, rows, train=True, mutable=['batch_stats', 'spectral']
    )
    expected = moved['batch_stats']
  assert_close(last['generator']['batch_stats'], expected)


def test_eight_devices_find_the_vectors_of_one():
  optimizers = {player: optax.sgd(0.1) for player in PLAYERS}
  _, one = after(2, microbatches=2)
  mesh = sharding.make_mesh(dict(data=4, fsdp=2, model=1), jax.devices()[:8])
  state = step.init_state(game(), optimizers, KEY, BATCH)
  placed = sharding.state_shardings(state, mesh)
  train_step = step.make_train_step(game(), optimizers, seed=1, microbatches=2)
  batch = jax.device_put(BATCH, sharding.batch_sharding(mesh))
  with jax.set_mesh(mesh):
    jitted = jax.jit(train_step, out_shardings=(placed, None))
    state, _ = run(jax.device_put(state, placed), jitted, 2, batch)
  assert_close(copied(state.variables), one)
