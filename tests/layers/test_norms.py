"""Norms by name: torch's numbers far from zero mean, statistics in float32 over the whole batch."""

from functools import cache, partial

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torchvision.ops import FrozenBatchNorm2d

from vitlab.errors import UserError
from vitlab.layers.norms import MAP_NORMS, TOKEN_NORMS, BatchNorm, make_norm
from vitlab.train.sharding import batch_sharding, make_mesh

NUMBERS = np.random.default_rng(0)
MAP = NUMBERS.normal(30, 2, (4, 3, 5, 6)) * NUMBERS.uniform(0.5, 2, 6)
SCALE, BIAS = NUMBERS.normal(1, 0.5, (2, 6))
MEAN, VAR = NUMBERS.normal(30, 1, 6), NUMBERS.uniform(0.5, 2, 6)
PARAMS = {'params': {'scale': SCALE, 'bias': BIAS}}
RUNNING = {'batch_stats': {'mean': MEAN, 'var': VAR}}
TORCH = {
  'layernorm': partial(torch.nn.LayerNorm, 6),
  'rmsnorm': partial(torch.nn.RMSNorm, 6),
  'batchnorm': partial(torch.nn.BatchNorm2d, 6),
  'groupnorm': partial(torch.nn.GroupNorm, 3, 6),
  'instancenorm': partial(torch.nn.InstanceNorm2d, 6, affine=True),
}
LAST = ('layernorm', 'rmsnorm')  # torch takes their channels last


def torch_s(name, epsilon, train=False):
  """Its result, the gradients of sum(sin(result)) in x and all weights, its running averages."""
  norm = TORCH[name](eps=epsilon).double().train(train)
  tensors = dict(weight=SCALE, bias=BIAS, running_mean=MEAN, running_var=VAR)
  has = lambda name: getattr(norm, name, None) is not None  # noqa: E731
  norm.load_state_dict({k: torch.tensor(v) for k, v in tensors.items() if has(k)}, strict=False)
  x = torch.tensor(MAP, requires_grad=True)
  y = norm(x) if name in LAST else norm(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
  y.sin().sum().backward()
  moved = [getattr(norm, k).numpy() for k in ('running_mean', 'running_var') if has(k)]
  weights = [getattr(norm, k).grad if has(k) else np.zeros(6) for k in ('weight', 'bias')]
  return y.detach(), x.grad, np.stack(weights), moved


def ours(norm, train=False):
  """The same of ours."""
  variables = jax.tree.map(jnp.asarray, PARAMS | (RUNNING if isinstance(norm, BatchNorm) else {}))

  @jax.jit
  def run(x, variables):
    def functional(x, variables):
      y, mutated = norm.apply(variables, x, train, mutable='batch_stats')
      return jnp.sin(y).sum(), (y, mutated)

    return jax.grad(functional, (0, 1), has_aux=True)(x, variables)

  (dx, grads), (y, mutated) = run(jnp.asarray(MAP), variables)
  running = mutated.get('batch_stats', {})
  weights = np.stack([grads['params'][k] for k in ('scale', 'bias')])
  return y, dx, weights, [running[k] for k in ('mean', 'var') if k in running]


def apart(a, b):
  return max([abs(np.asarray(x) - np.asarray(y)).max() for x, y in zip(a, b, strict=True)] or [0])


@pytest.mark.parametrize('train', [False, True])
@pytest.mark.parametrize('epsilon', [0.5, 1e-5])
@pytest.mark.parametrize('name', [name for name in MAP_NORMS if name != 'frozen_batchnorm'])
def test_equals_torch_s(name, epsilon, train, x64):
  expected = torch_s(name, epsilon, train)
  got = ours(make_norm(name, epsilon, jnp.float64, maps=True, num_groups=3), train)
  assert apart(got[:3], expected[:3]) < 1e-11
  assert apart(got[3], expected[3]) < 1e-12


def test_mistakes_about_running_averages_would_be_seen(x64):
  mean, var = torch_s('batchnorm', 1e-5, train=True)[3]
  flax_s_momentum = ours(BatchNorm(dtype=jnp.float64, momentum=0.9), train=True)[3]
  assert apart(flax_s_momentum, [mean, var]) > 0.1
  biased = 0.9 * VAR + 0.1 * MAP.var((0, 1, 2))
  assert abs(biased - var).min() > 1e-3


@pytest.mark.parametrize('train', [False, True])
def test_a_frozen_batchnorm_is_torchvision_s_and_leaves_training_alone(train, x64):
  theirs = FrozenBatchNorm2d(6, eps=1e-5).double()
  tensors = dict(weight=SCALE, bias=BIAS, running_mean=MEAN, running_var=VAR)
  theirs.load_state_dict({name: torch.tensor(x) for name, x in tensors.items()})
  x = torch.tensor(MAP.transpose(0, 3, 1, 2), requires_grad=True)
  y = theirs(x)
  y.sin().sum().backward()
  norm = make_norm('frozen_batchnorm', 1e-5, jnp.float64, maps=True)
  frozen = dict(scale=SCALE, bias=BIAS, mean=MEAN, var=VAR)

  @jax.jit
  def run(x):
    y, mutated = norm.apply({'frozen': frozen}, x, train, mutable='frozen')
    return jnp.sin(y).sum(), (y, mutated)

  dx, (ours, mutated) = jax.grad(run, has_aux=True)(jnp.asarray(MAP))
  channels_last = lambda y: y.detach().permute(0, 2, 3, 1).numpy()  # noqa: E731
  assert apart([ours, dx], [channels_last(y), channels_last(x.grad)]) < 1e-11
  assert apart(jax.tree.leaves(mutated), jax.tree.leaves({'frozen': frozen})) == 0


@pytest.mark.parametrize('name', MAP_NORMS)
def test_all_have_one_interface(name):
  norm = make_norm(name, 1e-5, maps=True, num_groups=2, scale_init=jax.nn.initializers.zeros)
  x = jnp.asarray(MAP, jnp.bfloat16)
  variables = norm.init(jax.random.key(0), x)
  frozen = name == 'frozen_batchnorm'
  learned = variables['frozen' if frozen else 'params']
  statistics = {'mean', 'var'} if frozen else set()
  assert set(learned) - statistics == {'scale'} | ({'bias'} if name != 'rmsnorm' else set())
  assert {leaf.shape for leaf in jax.tree.leaves(variables)} == {(6,)}
  y, mutated = norm.apply(variables, x, train=True, mutable='batch_stats')
  assert (y.shape, y.dtype) == (x.shape, jnp.float32)
  assert y.any() == frozen  # which is never trained: at zero it would stay silent
  assert set(mutated) == ({'batch_stats'} if name == 'batchnorm' else set())


@pytest.mark.parametrize('name', ['layernorm', 'batchnorm', 'groupnorm', 'instancenorm'])
def test_a_large_mean_does_not_cancel_the_variance(name):
  x = 1000 + jnp.asarray(NUMBERS.normal(size=(4, 16, 16, 64)), jnp.float32)
  norm = make_norm(name, 1e-6, maps=True)
  y, _ = norm.apply(norm.init(jax.random.key(0), x), x, train=True, mutable='batch_stats')
  axes = {'layernorm': -1, 'batchnorm': (0, 1, 2)}.get(name, (1, 2))
  np.testing.assert_allclose(y.std(axes), 1, atol=1e-3 if name != 'groupnorm' else 0.2)


@pytest.mark.parametrize('name', MAP_NORMS)
def test_statistics_of_16_bit_numbers_are_float32(name):
  x = jnp.asarray(NUMBERS.normal(3, 1, (4, 8, 8, 64)), jnp.bfloat16)

  @partial(jax.jit, static_argnums=1)
  def run(x, dtype):
    norm = make_norm(name, 1e-6, dtype, maps=True)
    return norm.apply(norm.init(jax.random.key(0), x), x, train=True, mutable='batch_stats')[0]

  y = run(x, jnp.bfloat16)
  assert y.dtype == jnp.bfloat16
  np.testing.assert_array_equal(y, run(x.astype(jnp.float32), jnp.float32).astype(jnp.bfloat16))


@cache
def trained_batch(devices: int):
  """Result and running averages of one training call on a batch split over the devices."""
  norm = BatchNorm()
  x = jnp.asarray(np.resize(MAP, (16, 3, 5, 6)), jnp.float32)
  x = x * jnp.arange(1, 17)[:, None, None, None]  # no two devices see the like
  x = jax.device_put(x, batch_sharding(make_mesh(dict(data=devices), jax.devices()[:devices])))
  apply = jax.jit(partial(norm.apply, train=True, mutable='batch_stats'))
  return jax.tree.map(np.asarray, apply(norm.init(jax.random.key(0), x), x))


def test_statistics_of_a_sharded_batch_are_those_of_all_of_it():
  close = partial(np.testing.assert_allclose, rtol=2e-5, atol=2e-5)
  jax.tree.map(close, trained_batch(8), trained_batch(1))


def test_groups_that_do_not_divide_and_batches_of_one_value_are_refused():
  norm = make_norm('groupnorm', 1e-5, maps=True, num_groups=4)
  with pytest.raises(UserError, match='6 channels do not divide into num_groups=4'):
    norm.init(jax.random.key(0), jnp.ones((1, 2, 2, 6)))
  norm = make_norm('batchnorm', 1e-5, maps=True)
  with pytest.raises(UserError, match='one value for each of 6 channels has no variance'):
    norm.init(jax.random.key(0), jnp.ones((1, 1, 1, 6)), train=True)


def test_an_unknown_name_lists_the_known_ones():
  with pytest.raises(UserError, match='did you mean layernorm'):
    make_norm('layer_norm', 1e-6)
  with pytest.raises(UserError, match=f"unknown norm 'batchnorm'.*{'.*'.join(TOKEN_NORMS)}"):
    make_norm('batchnorm', 1e-6)
