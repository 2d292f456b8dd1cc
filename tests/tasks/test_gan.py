"""The two turns of a GAN against what they are made of, told plainly; and its refusals."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from _helpers import drawn_batches, players, tiny
from flax import linen as nn

from vitlab.errors import UserError
from vitlab.ops import diff_augment
from vitlab.ops.latents import noise
from vitlab.tasks import gan
from vitlab.train import step

KEY = jax.random.key(5)
MODEL = players.Players()
BATCH = jax.tree.map(
  jnp.asarray,
  drawn_batches.numbered_images(np.random.default_rng(0), 8) | dict(mask=np.ones(8, bool)),
)
make = functools.partial(gan.make, MODEL, 3)


@pytest.fixture(scope='module')
def variables():
  """Not at their start, where statistics are zeros and ones."""
  made = jax.jit(make().init)(jax.random.key(0), BATCH)
  return jax.tree.map(lambda x: x + 0.1 * jnp.cos(jnp.arange(x.size)).reshape(x.shape), made)


def close(found, wanted, **tolerance):
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, **tolerance), found, wanted)


class Told(nn.Module):
  """Players of one parameter each, so that what they do can be written down."""

  num_classes = 3
  noise_width = 4

  def generator(self):
    return _Echo(parent=None)

  def discriminator(self):
    return _Weigh(parent=None)


class _Echo(nn.Module):
  """Every pixel is g times the first number of the noise."""

  @nn.compact
  def __call__(self, noise, label=None, train=False):
    g = self.param('g', nn.initializers.constant(0.3), ())
    _count(self, 'batch_stats', train)
    return _echo(g, noise), {}


class _Weigh(nn.Module):
  """d times the mean of x + x² and the class: a slope that depends on the picture."""

  @nn.compact
  def __call__(self, image, label=None, train=False):
    d = self.param('d', nn.initializers.constant(0.7), ())
    _count(self, 'spectral', train)
    return _weigh(d, image) + label, {}


def _count(module, collection, train):
  turns = module.variable(collection, 'turns', jnp.zeros, ())
  if train and not module.is_initializing():
    turns.value += 1


def _echo(g, noise):
  return jnp.tanh(jnp.broadcast_to(g * noise[:, :1, None, None], (len(noise), 6, 6, 1)))


def _weigh(d, image):
  return d * jnp.mean(image + image**2, axis=(1, 2, 3))


REAL, LABEL = BATCH['image'] / 127.5 - 1, BATCH['label']


def told(**spec):
  """The task of these players, and its start."""
  task = gan.make(Told(), 3, **spec)
  return task, task.init(KEY, BATCH)


def drawn(key, g=0.3):
  """The pictures of a turn whose key for noise this is."""
  return _echo(g, jax.random.normal(jax.random.split(key)[0], (8, 4)))


def viewed(policy, key, *images):
  """Each of several batches as the discriminator sees it: they are one batch, row by row."""
  both = jnp.stack(images, axis=1).reshape(-1, 6, 6, 1)
  view = diff_augment.compile(policy)(key, both)
  return [view[i :: len(images)] for i in range(len(images))]


@pytest.mark.parametrize('policy', ['', 'cutout'])
def test_the_discriminators_turn_is_the_formula(policy):
  task, variables = told(diff_augment=policy)
  noise_key, view_key, _ = jax.random.split(KEY, 3)
  scores = [_weigh(0.7, x) + LABEL for x in viewed(policy, view_key, REAL, drawn(noise_key))]
  found = task.losses['discriminator'](variables, BATCH, KEY)
  close(found.value, jnp.mean(jax.nn.relu(1 - scores[0]) + jax.nn.relu(1 + scores[1])))
  means = {name: total / count for name, (total, count) in found.metrics.items()}
  close(means, dict(loss=found.value, real=scores[0].mean(), fake=scores[1].mean()))


@pytest.mark.parametrize('loss, policy', [('hinge', ''), ('hinge', 'cutout'), ('relativistic', '')])
def test_the_generators_turn_is_the_formula_and_teaches_through_the_views(loss, policy):
  task, variables = told(loss=loss, diff_augment=policy)
  noise_key, view_key = jax.random.split(KEY)

  def wanted(g):
    fake = drawn(noise_key, g)
    if loss == 'relativistic':
      return jax.nn.softplus(_weigh(0.7, REAL) - _weigh(0.7, fake)).mean()
    return -jnp.mean(_weigh(0.7, *viewed(policy, view_key, fake)) + LABEL)

  def found(g):
    generator = {**variables['generator'], 'params': {'g': g}}
    return task.losses['generator']({**variables, 'generator': generator}, BATCH, KEY).value

  close(jax.value_and_grad(found)(0.3), jax.value_and_grad(wanted)(0.3))


def test_half_the_weighted_slopes_at_both_kinds_of_pictures_come_to_the_loss():
  """The slope of d · mean(x + x²) over 36 pixels is d (1 + 2x) / 36."""
  (plain, variables), (task, _) = told(), told(r1=3.0, r2=5.0)
  slope = lambda x: jnp.sum((0.7 * (1 + 2 * x) / 36) ** 2, axis=(1, 2, 3)).mean()  # noqa: E731
  r1, r2 = slope(REAL), slope(drawn(jax.random.split(KEY, 3)[0]))
  without, found = (t.losses['discriminator'](variables, BATCH, KEY) for t in (plain, task))
  close(found.value, without.value + 1.5 * r1 + 2.5 * r2)
  close([found.metrics[n][0] / found.metrics[n][1] for n in ('r1', 'r2')], [r1, r2])
  assert found.mutated == without.mutated


def test_slopes_are_of_the_pictures_before_they_are_augmented():
  """Where a cutout lies the score has none: a part is gone of what whole pictures have."""
  task, variables = told(r1=1.0, diff_augment='cutout')
  total, count = task.losses['discriminator'](variables, BATCH, KEY).metrics['r1']
  view = viewed('cutout', jax.random.split(KEY, 3)[1], REAL, REAL)[0]
  slope = jnp.where(view == 0, 0, 0.7 * (1 + 2 * REAL) / 36)
  close(total / count, jnp.sum(slope**2, axis=(1, 2, 3)).mean())


def test_each_player_keeps_what_its_own_turn_moves_and_nothing_of_the_others():
  task, variables = told()
  judged = task.losses['discriminator'](variables, BATCH, KEY).mutated
  assert judged == {'discriminator': {'spectral': {'turns': 1.0}}}
  forged = task.losses['generator'](variables, BATCH, KEY).mutated
  assert forged == {'generator': {'batch_stats': {'turns': 1.0}}}


@pytest.mark.parametrize('player', ['discriminator', 'generator'])
def test_a_step_of_one_player_moves_no_bit_of_the_other(player):
  task, _ = told(loss='relativistic', r1=1.0)
  task = task._replace(losses={player: task.losses[player]})
  optimizers = {player: optax.sgd(0.5)}
  state = step.init_state(task, optimizers, KEY, BATCH)
  before = state.variables
  after = jax.jit(step.make_train_step(task, optimizers, seed=0))(state, BATCH)[0].variables
  for name in before:
    same = jax.tree.map(np.array_equal, after[name], before[name])
    assert set(jax.tree.leaves(same)) == {name != player}


@pytest.mark.parametrize('microbatches', [1, 4])
def test_spectral_vectors_move_once_a_step_however_it_is_cut(variables, microbatches):
  task, optimizers = make(), dict.fromkeys(['discriminator', 'generator'], optax.sgd(0.0))
  state = step.init_state(task, optimizers, KEY, BATCH)._replace(variables=variables)
  words = dict(seed=0, microbatches=microbatches)
  after = jax.jit(step.make_train_step(task, optimizers, **words))(state, BATCH)[0].variables
  for player in optimizers:
    kernel = np.asarray(variables[player]['params']['hidden']['kernel'], np.float64)
    u = np.asarray(variables[player]['spectral']['hidden']['u'], np.float64)
    once = kernel.T @ (kernel @ u)
    close(after[player]['spectral']['hidden']['u'], once / np.linalg.norm(once), atol=1e-5)


def test_in_the_generators_turn_the_discriminator_is_used_as_it_lies(variables):
  """Not with a power iteration that is thrown away: its score changes with the stored vectors."""
  task = make()
  loss = jax.jit(lambda v: task.losses['generator'](v, BATCH, KEY).value)
  longer = jax.tree.map(lambda x: x, variables)
  longer['discriminator']['spectral']['score']['u'] *= 2
  assert not np.isclose(loss(variables), loss(longer), rtol=1e-3)


def test_samples_are_the_averaged_generators_of_number_and_class(variables):
  samples = jax.jit(make().predict['samples'])
  found = samples(variables, BATCH)
  assert found.shape == (8, 6, 6, 1) and found.dtype == jnp.float32
  assert 0 <= found.min() < found.max() <= 1
  z = noise(BATCH['index'], MODEL.noise_width)
  image, _ = MODEL.generator().apply(variables['generator'], z, BATCH['label'], train=False)
  close(found, (image + 1) / 2, atol=1e-6)
  other = samples(variables, {**BATCH, 'label': (BATCH['label'] + 1) % 3})
  assert np.all(np.any(found != other, axis=(1, 2, 3)))
  short = make(truncation=0.1).predict['samples'](variables, BATCH)
  same = {**BATCH, 'label': jnp.zeros(8, jnp.int32)}
  assert np.std(short, axis=0).mean() < np.std(found, axis=0).mean()
  truncated, free = (make(truncation=t).predict['samples'](variables, same) for t in (0.1, 0.0))
  assert np.std(truncated, axis=0).mean() < 0.5 * np.std(free, axis=0).mean()


def test_features_are_pixels_or_those_of_an_encoder_that_sees_what_it_was_trained_on(variables):
  plain = make().predict
  close(plain['features'](variables, BATCH), BATCH['image'].reshape(8, -1) / 255)
  levels = 255 * plain['sample_features'](variables, BATCH)
  close(levels, np.round(levels), atol=1e-4)  # as a file holds them
  words = dict(encoder_mean=(0.2, 0.3, 0.4), encoder_std=(0.5,), encoder_image_size=(12, 12))
  task = make(encoder=tiny.ConvNet(), encoder_channels=3, **words)
  everything = jax.jit(task.init)(jax.random.key(0), BATCH)
  assert everything['encoder']['params']['conv']['kernel'].shape == (3, 3, 3, 4)
  assert set(task.losses) == {'discriminator', 'generator'}
  grey = jax.image.resize(BATCH['image'] / 255, (8, 12, 12, 1), 'cubic').clip(0, 1)
  seen = (jnp.repeat(grey, 3, axis=-1) - jnp.array([0.2, 0.3, 0.4])) / 0.5
  _, out = tiny.ConvNet().apply(everything['encoder'], seen)
  close(task.predict['features'](everything, BATCH), out['features'], atol=1e-5)
  image = task.predict['samples'](everything, BATCH)
  like = {**BATCH, 'image': jnp.round(255 * image).astype(jnp.uint8)}
  sampled = task.predict['sample_features'](everything, BATCH)
  close(sampled, task.predict['features'](everything, like), atol=1e-5)
  logits, _ = tiny.ConvNet().apply(everything['encoder'], _prepared(like['image']))
  close(task.predict['sample_logits'](everything, BATCH), logits, atol=1e-5)


def _prepared(image):
  grey = jax.image.resize(image / 255, (8, 12, 12, 1), 'cubic').clip(0, 1)
  return (jnp.repeat(grey, 3, axis=-1) - jnp.array([0.2, 0.3, 0.4])) / 0.5


@pytest.mark.parametrize(
  'model, spec, message',
  [
    (tiny.ConvNet(), {}, 'needs a model of two players, the model ConvNet is one network'),
    (players.Players(1), dict(num_classes=1), 'the data have one class'),
    (MODEL, dict(num_classes=10), 'the model knows 3 classes, the data have 10'),
    (MODEL, dict(num_classes=None), 'the model knows 3 classes, the data have none'),
    (MODEL, dict(loss='hing'), "unknown loss of the gan task 'hing': did you mean hinge"),
    (MODEL, dict(truncation=-1.0), r'task.truncation=-1.0: expected a number above 0, or 0'),
    (MODEL, dict(truncation=float('nan')), 'task.truncation=nan: expected'),
    (MODEL, dict(r1=float('inf')), 'task.r1=inf: expected'),
    (MODEL, dict(diff_augment='colour'), "unknown augmentation 'colour': did you mean color"),
  ],
)
def test_what_cannot_be_played_is_refused(model, spec, message):
  with pytest.raises(UserError, match=message) as error:
    gan.make(model, **{'num_classes': 3, **spec})
  assert str(error.value).count('\n') <= 2


@pytest.mark.parametrize('shape', [(8, 8, 1), (4, 4, 1), (6, 6, 3)])
def test_pictures_of_another_kind_than_the_models_are_refused(shape):
  task = gan.make(players.Players(3, shape), 3)
  with pytest.raises(UserError, match=rf'makes pictures of {shape[0]} x {shape[1]} pixels and'):
    task.init(KEY, BATCH)


def test_data_that_are_not_here_have_the_classes_of_the_model():
  data = dict(image_size=32)
  known = gan.assumed(data, dict(num_classes=10))
  assert known.facts['num_classes'] == 10
  assert known.example['image'].shape == (32, 32, 3)
  assert gan.assumed(data, dict(num_classes=0)).example['label'] == 0
  assert gan.assumed(dict(path='x'), dict(num_classes=10)) is None
  assert gan.assumed(data, dict(num_classes=None)) is None  # to be filled in from what is not here
