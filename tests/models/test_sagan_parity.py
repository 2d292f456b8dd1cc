"""SAGAN-32 has the numbers of plain torch, in float64: images, scores, gradients, moving vectors.

And those of mimicry 0.1.16 itself, of which tests/references/mimicry_sagan.json holds a few.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import sagans
from _helpers.parity import error, projection
from _helpers.sagans import CLASSES, LABEL, NOISE, STEPS, inputs
from references import plain_sagan

from vitlab.models import sagan
from vitlab.ops.attention import attend

FROZEN = json.loads(
  (pathlib.Path(__file__).parents[1] / 'references/mimicry_sagan.json').read_text()
)
PLAYERS = ('generator', 'discriminator')


def theirs(player):
  """The plain player with its drawn weights."""
  if player == 'generator':
    module = plain_sagan.Generator(CLASSES, 16, NOISE)
  else:
    module = plain_sagan.Discriminator(CLASSES, 16)
  sagans.load(module)
  return module


def state(module):
  return {name: x.numpy().copy() for name, x in module.state_dict().items()}


def torch_run(module, x, train):
  """What comes out, channels last, after a backward pass."""
  module.train(train)
  x = torch.tensor(x if x.ndim == 2 else x.transpose(0, 3, 1, 2))
  y = module(x, torch.tensor(LABEL))
  y = y.permute(0, 2, 3, 1) if y.ndim == 4 else y
  module.zero_grad()
  (y * torch.tensor(projection(y.shape))).sum().backward()
  return y.detach().numpy()


def our_player(player, **options):
  # Mimicry's generator and discriminator of equal numbers are not equally wide with us.
  width = dict(generator=8, discriminator=16)[player]
  model = sagan.make('32', CLASSES, width=width, noise_width=NOISE, dtype='float64', **options)
  return getattr(model, player)()


def our_run(model, train):
  """(variables, x) -> result, weights of attention, what changed, gradients."""

  @jax.jit
  def run(variables, x):
    def functional(params):
      given = {**variables, 'params': params}
      mutable = ['batch_stats', 'spectral'] if train else []
      (y, out), moved = model.apply(
        given, x, jnp.asarray(LABEL, jnp.int32), train=train, mutable=mutable
      )
      return (y * projection(y.shape)).sum(), (y, out['attention'], moved)

    grads, aux = jax.grad(functional, has_aux=True)(variables['params'])
    return *aux, grads

  return run


@pytest.fixture(scope='module', params=PLAYERS)
def both(request):
  """Their module, our variables, and ours after the same steps of training as theirs."""
  module = theirs(request.param)
  with jax.enable_x64(True):
    variables = jax.tree.map(jnp.asarray, sagans.ours(state(module)))
    run, pairs = our_run(our_player(request.param), train=True), []
    for step in range(STEPS):
      x = inputs(request.param, step)
      y, attention, moved, grads = run(variables, jnp.asarray(x))
      variables = {**variables, **moved}
      pairs.append((np.asarray(y), torch_run(module, x, train=True)))
  return request.param, module, variables, pairs, grads, attention


def gradients(module):
  """Theirs, by our names."""
  grads = {name: p.grad.numpy() for name, p in module.named_parameters()}
  shapes = {k: v for k, v in state(module).items() if k.endswith('weight_orig')}
  return sagans.ours({**shapes, **grads})['params']


def test_every_step_of_training(both):
  _, module, variables, pairs, grads, attention = both
  for ours, their in pairs:
    np.testing.assert_allclose(ours, their, rtol=1e-9, atol=1e-9)
  assert error(grads, gradients(module)) < 1e-8
  weights = module.attn_block.weights.detach().numpy()
  np.testing.assert_allclose(attention[0][:, 0], weights, rtol=1e-9, atol=1e-12)


def test_vectors_and_statistics_after_three_steps(both):
  player, module, variables, *_ = both
  expected = sagans.ours(state(module))
  assert set(variables) == set(expected)
  assert ('batch_stats' in expected) == (player == 'generator')
  for collection in set(expected) - {'params'}:
    assert error(variables[collection], expected[collection]) < 1e-12
  first = sagans.ours(state(theirs(player)))
  assert error(variables['spectral'], first['spectral']) > 0.1


def test_every_step_of_mimicry(both):
  player, _, _, pairs, *_ = both
  for (ours, _), frozen in zip(pairs, FROZEN[player], strict=True):
    np.testing.assert_allclose(sagans.measured(ours), frozen, rtol=1e-9)
  if player == 'discriminator':  # whose ReLUs write into its shortcuts: another model
    first = np.array(FROZEN['discriminator_as_it_is'][0])
    assert abs(sagans.measured(pairs[0][0]) - first).min() > 0.1


@pytest.mark.parametrize('player', PLAYERS)
def test_parameter_counts_of_mimicry(player, x64):
  shapes = jax.eval_shape(our_player(player).init, jax.random.key(0), inputs(player, 0), LABEL)
  count = sum(x.size for x in jax.tree.leaves(shapes['params']))
  assert count == FROZEN['parameters'][PLAYERS.index(player)]
  assert count == dict(generator=18_788, discriminator=17_442)[player]


def evaluated(player, variables, x):
  """Our player when nothing is trained: the result, which no gradient is taken of."""
  variables, x = jax.tree.map(jnp.asarray, (variables, x))
  run = jax.jit(lambda variables, x: our_player(player).apply(variables, x, jnp.asarray(LABEL))[0])
  return np.asarray(run(variables, x))


def test_evaluation_uses_vectors_and_statistics_as_they_lie(both, x64):
  player, module, variables, *_ = both
  x, before = inputs(player, 9), state(module)
  their = torch_run(module, x, train=False)
  np.testing.assert_allclose(evaluated(player, variables, x), their, rtol=1e-9, atol=1e-9)
  assert error(state(module), before) == 0


@pytest.mark.parametrize('both', ['generator'], indirect=True)
@pytest.mark.parametrize(
  ('name', 'trap'),
  [('max_pool', lambda x, *_: x), ('attend', lambda q, k, v, scale: attend(q, k, v))],
)
def test_traps_of_attention_would_be_seen(both, x64, monkeypatch, name, trap):
  """Keys and values of all pixels; logits divided by the root of the width."""
  player, module, variables, *_ = both
  monkeypatch.setattr(sagan, name, trap)
  x = inputs(player, 9)
  their = torch_run(module, x, train=False)
  assert abs(evaluated(player, variables, x) - their).max() > 0.01
