"""SAGAN beyond its parity: sizes, classes or none, attention anywhere, what moves, bad input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab import names
from vitlab.errors import UserError
from vitlab.models import sagan

NUMBERS = np.random.default_rng(0)
LABEL = jnp.array([2, 0, 2, 1])
NOISE = jnp.array(NUMBERS.normal(size=(4, 6)), jnp.float32)
IMAGE = jnp.array(NUMBERS.uniform(-1, 1, (4, 8, 8, 1)), jnp.float32)
TINY = dict(variant='mu', image=dict(image_size=(8, 8), channels=1), noise_width=6)


@functools.cache
def players(num_classes=3, **options):
  """(player, perturbed variables, x) of generator and discriminator of a tiny model; γ is not 0."""
  model, label = (
    sagan.make(num_classes=num_classes, **TINY | options),
    LABEL if num_classes else None,
  )
  found = []
  for player, x in ((model.generator(), NOISE), (model.discriminator(), IMAGE)):
    variables = jax.jit(player.init)(jax.random.key(0), x, label)
    params = jax.tree.map(lambda x: x + 0.1, variables['params'])
    found.append((player, {**variables, 'params': params}, x))
  return found


def applied(player, variables, x, label):
  return jax.jit(lambda v, x, label: player.apply(v, x, label)[0])(variables, x, label)


def sizes(variant, num_classes=10, **options):
  """Parameters, images or maps, and maps attended in, of both players."""
  model = sagan.make(variant, num_classes, **options)
  side, found = model.image_size, []
  noise = jax.ShapeDtypeStruct((2, model.noise_width), jnp.float32)
  image = jax.ShapeDtypeStruct((2, side, side, model.channels), jnp.float32)
  label = jax.ShapeDtypeStruct((2,), jnp.int32) if num_classes else None
  for player, x in ((model.generator(), noise), (model.discriminator(), image)):
    variables = jax.eval_shape(player.init, jax.random.key(0), x, label)
    y, out = jax.eval_shape(player.apply, variables, x, label)
    maps = [block['features'].shape[1] for block in out['blocks']]
    count = sum(x.size for x in jax.tree.leaves(variables['params']))
    found.append((count, y.shape, maps, [tuple(w.shape[2:]) for w in out['attention']]))
  return found


def test_parameters_at_128_pixels_are_those_of_mimicry():
  """Counted in mimicry 0.1.16, of five classes, with ngf=128 and nz=8, and with ndf=128."""
  generator, discriminator = sizes('128', 5, width=8, noise_width=8)
  assert (generator[0], discriminator[0]) == (495_908, 455_458)
  assert generator[1:] == ((2, 128, 128, 3), [8, 16, 32, 64, 128], [(32**2, 16**2)])
  assert discriminator[1:] == ((2,), [64, 32, 16, 8, 4, 4], [(32**2, 16**2)])


@pytest.mark.parametrize(
  ('variant', 'options', 'maps', 'attention'),
  [
    ('8', {}, ([8], [4, 4, 4]), ([8], [4])),
    ('16', {}, ([8, 16], [8, 4, 4, 4]), ([8], [8])),
    ('16', dict(bottom=7), ([14, 28], [14, 7, 7, 7]), ([14], [14])),
    ('32', {}, ([8, 16, 32], [16, 8, 8, 8]), ([16], [8])),
    ('32', dict(attention=[16]), ([8, 16, 32], [16, 8, 8, 8]), ([16], [16])),
    ('32', dict(attention=[32, 8]), ([8, 16, 32], [16, 8, 8, 8]), ([8, 32], [8])),
    ('32', dict(attention=()), ([8, 16, 32], [16, 8, 8, 8]), ([], [])),
    ('64', dict(num_classes=0), ([8, 16, 32, 64], [32, 16, 8, 4, 2]), ([32], [32])),
  ],
)
def test_every_size_and_attention_anywhere(variant, options, maps, attention):
  for player, made, attended in zip(sizes(variant, **options), maps, attention, strict=True):
    assert player[2] == made
    assert player[3] == [(side**2, (side // 2) ** 2) for side in attended]


@pytest.mark.parametrize('num_classes', [3, 0])
def test_classes_matter_to_both_players_if_there_are_any(num_classes):
  for player, variables, x in players(num_classes):
    run = jax.jit(lambda v, x, label, player=player: player.apply(v, x, label)[0])
    y, others = run(variables, x, LABEL), run(variables, x, LABEL[::-1])
    assert (abs(y - others).max() > 1e-4) == bool(num_classes)


@pytest.mark.parametrize(('index', 'moves'), [(0, ['batch_stats', 'spectral']), (1, ['spectral'])])
def test_what_moves_in_training_and_that_every_parameter_learns(index, moves):
  player, variables, x = players()[index]
  assert sorted(set(variables) - {'params'}) == moves

  @jax.jit
  def run(variables):
    def functional(params):
      given = {**variables, 'params': params}
      (y, out), moved = player.apply(given, x, LABEL, train=True, mutable=moves)
      return jnp.sin(3 * y).sum(), (y, out['attention'], moved)

    return jax.grad(functional, has_aux=True)(variables['params'])

  grads, (y, attention, moved) = run(variables)
  assert index or (y.shape == IMAGE.shape and abs(y).max() <= 1 and y.std() > 0.01)
  for name, leaf in names.flatten(grads).items():
    # In front of a batchnorm a bias does nothing.
    assert np.isfinite(leaf).all() and (leaf.any() or name.endswith('conv1/bias')), name
  before, after = (names.flatten({m: tree[m] for m in moves}) for tree in (variables, moved))
  assert set(before) == set(after)
  # Of a single output u stays 1 or -1. Also v moves: the weights are not those it was made for.
  still = {name for name, old in before.items() if old.size > 1 and (old == after[name]).all()}
  assert not still
  np.testing.assert_allclose(attention[0].sum(-1), 1, rtol=1e-5)


def test_attention_starts_silent():
  """γ = 0: with any weights of attention the first images are those without it."""
  (generator, variables, _), _ = players()
  variables = jax.tree.map(lambda x: x, variables)
  variables['params']['attention_0']['gamma'] *= 0
  y = applied(generator, variables, NOISE, LABEL)
  without = sagan.make(num_classes=3, attention=(), **TINY).generator()
  for tree in variables.values():
    tree.pop('attention_0', None)
  np.testing.assert_allclose(y, applied(without, variables, NOISE, LABEL), atol=1e-6)


def test_16_bits_within_and_32_at_the_ends():
  for exact, rough in zip(players(), players(dtype='bfloat16'), strict=True):
    y = applied(*exact, LABEL)
    found = applied(rough[0], *exact[1:], LABEL)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, y, atol=0.05 * abs(y).max())


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    (dict(variant='48'), "no SAGAN variant '48'|unknown SAGAN variant"),
    (dict(image=dict(image_size=(28, 28), channels=1)), '8×8 pixels, the data have 28×28'),
    (dict(image=dict(image_size=(8, 6), channels=1)), '8×8 pixels, the data have 8×6'),
    (dict(attention=(16,)), r'attention=\(16,\), but there is no map of 16×16 pixels'),
    (dict(noise_width=0), 'noise_width=0 needs to be 1 or more'),
    (dict(bottom=0), 'bottom=0 needs to be 1 or more'),
    (dict(width=0), 'width=0 needs to be 1 or more'),
    (dict(dtype='int8'), 'dtype'),
  ],
)
def test_bad_input_is_refused(options, message):
  with pytest.raises(UserError, match=message) as error:
    sagan.make(**TINY | options)
  assert len(str(error.value).splitlines()) <= 3


def test_maps_too_narrow_for_attention_are_refused():
  with pytest.raises(UserError, match='map of 4 channels, 8 are needed: raise model.width'):
    players(width=4)
