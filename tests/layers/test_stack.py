"""The stack: scan and remat change no number, not even of training or initialisation."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.layers.attention import SelfAttention
from vitlab.layers.blocks import Block
from vitlab.layers.mlp import make_mlp
from vitlab.layers.norms import make_norm
from vitlab.layers.stack import Stack, stack_blocks, unstack_blocks

X = jax.random.normal(jax.random.key(0), (32, 3, 8))


def stack(depth=3, dropout_rate=0.1, drop_path_rate=0.5, dtype=jnp.float32, **options):
  attention, mlp = SelfAttention(2, dtype=dtype), make_mlp('gelu', 16, dropout_rate, dtype)
  block = Block(attention, mlp, make_norm('layernorm', 1e-6, dtype), dropout_rate=dropout_rate)
  return Stack(block, depth, drop_path_rate, **options)


def train(layer, variables):
  """Output, intermediates and gradients of a random training pass, all in float64."""
  variables = jax.tree.map(lambda p: p.astype('float64'), variables)

  @jax.jit
  def run(variables):
    rngs = {'dropout': jax.random.key(2)}
    f = lambda v: layer.apply(v, X.astype('float64'), True, rngs=rngs)  # noqa: E731
    loss = lambda v: (jnp.sin(f(v)[0]).sum(), f(v))  # noqa: E731
    return jax.value_and_grad(loss, has_aux=True)(variables)

  (_, (x, outs)), grads = run(variables)
  return x, outs, unstack_blocks(grads['params'])


def test_scan_and_remat_are_the_same_in_training(x64):
  def init(layer):
    return jax.jit(layer.init)(jax.random.key(1), X.astype('float64'))

  plain = stack(dtype=jnp.float64)
  unrolled = init(plain)
  expected = train(plain, unrolled)
  for options in (
    dict(scan=True),
    dict(remat='nothing_saveable'),
    dict(scan=True, remat='dots_saveable'),
  ):
    layer = stack(dtype=jnp.float64, **options)
    variables = init(layer)
    params = unstack_blocks(variables['params'])
    jax.tree.map(np.testing.assert_array_equal, params, unrolled['params'])
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10, rtol=0),
      train(layer, variables),
      expected,
    )


class Exchange(nn.Module):
  """Two streams: what TNT's blocks do with pixels and patches."""

  @nn.compact
  def __call__(self, x, train=False, drop_path_rate=None):
    a, b = x
    a = a + nn.Dense(4)(b)
    return (a, b + nn.Dense(8)(a)), dict(a=a)


@pytest.mark.parametrize('options', [{}, dict(scan=True), dict(remat='dots_saveable')])
def test_blocks_may_hand_on_several_arrays(options):
  layer, x = Stack(Exchange(), 2, **options), (X[..., :4], X)
  variables = layer.init(jax.random.key(1), x)
  (a, b), outs = layer.apply(variables, x)
  for params in unstack_blocks(variables['params']).values():
    x, _ = Exchange().apply({'params': params}, x)
  np.testing.assert_allclose(a, x[0], atol=1e-5)
  np.testing.assert_allclose(b, x[1], atol=1e-5)
  np.testing.assert_array_equal(outs[1]['a'], a)


class Turning(nn.Module):
  """A block with a constant of the program."""

  @nn.compact
  def __call__(self, x, train=False, drop_path_rate=None, sign=1):
    return x + sign * nn.Dense(8)(x), dict(sign=jnp.float32(sign), rate=drop_path_rate)


@pytest.mark.parametrize('remat', ['', 'nothing_saveable'])
@pytest.mark.parametrize('scan', [False, True])
def test_blocks_take_turns(scan, remat):
  layer = Stack(Turning(), 4, (0.2, 0.5), scan, remat, turns=({}, {'sign': -1}))
  (x, outs), variables = jax.jit(layer.init_with_output)(jax.random.key(1), X)
  assert [float(out['sign']) for out in outs] == [1, -1, 1, -1]
  np.testing.assert_allclose([out['rate'] for out in outs], [0.2, 0.3, 0.4, 0.5], atol=1e-6)
  expected = X
  for i, sign in enumerate([1, -1, 1, -1]):
    params = unstack_blocks(variables['params'])[f'block_{i}']
    expected, _ = Turning().apply({'params': params}, expected, False, None, sign)
  np.testing.assert_allclose(x, expected, atol=1e-4)


def test_scanned_turns_divide_the_depth():
  with pytest.raises(UserError, match='3 blocks do not divide into groups of 2; use scan=False'):
    Stack(Turning(), 3, scan=True, turns=({}, {'sign': -1})).init(jax.random.key(1), X)


def test_drop_path_rises_linearly_over_the_depth():
  layer = stack(depth=3, dropout_rate=0.0)
  x = jnp.broadcast_to(X[:1], (2000, 3, 8))
  keys = dict(params=jax.random.key(1), dropout=jax.random.key(3))
  (_, outs), _ = jax.jit(layer.init_with_output, static_argnums=2)(keys, x, True)
  skipped = [float(jnp.mean((out['mlp_out'] == 0).all((1, 2)))) for out in outs]
  np.testing.assert_allclose(skipped, [0, 0.25, 0.5], atol=0.04)


def test_blocks_start_differently():
  params = jax.jit(stack().init)(jax.random.key(1), X)['params']
  kernels = [params[f'block_{i}']['mlp']['up']['kernel'] for i in range(3)]
  assert (kernels[0] != kernels[1]).all()
  assert (kernels[1] != kernels[2]).all()


def test_stacking_and_unstacking_are_inverse_wherever_the_blocks_are():
  blocks = jax.jit(stack(depth=11).init)(jax.random.key(1), X)['params']
  params = {'encoder': blocks, 'head': jnp.ones(2)}
  stacked = stack_blocks(params)
  assert stacked['encoder']['blocks']['mlp']['up']['kernel'].shape == (11, 8, 16)
  jax.tree.map(np.testing.assert_array_equal, unstack_blocks(stacked), params)


def test_parameters_of_the_other_layout_are_refused_with_the_way_out():
  variables = jax.eval_shape(stack().init, jax.random.key(1), X)
  with pytest.raises(UserError, match='no blocks: .*scan=False\n.*convert'):
    stack(scan=True).apply(variables, X)


class Adds(nn.Module):
  """Adds a parameter, what all blocks are given and what it alone is."""

  @nn.compact
  def __call__(self, x, train=False, rate=None, *, alike=0.0, own=0.0):
    x = x + self.param('p', nn.initializers.zeros, ()) + alike + own
    return x, dict(own=own)


@pytest.mark.parametrize('scan', [False, True])
def test_blocks_may_have_inputs_of_their_own(scan):
  layer, x = Stack(Adds(), 3, scan=scan), jnp.zeros((2, 4))
  variables = layer.init(jax.random.key(0), x)
  own = [jnp.array(value) for value in (1.0, 10.0, 100.0)]
  y, outs = jax.jit(layer.apply)(variables, x, each=dict(own=own), alike=0.5)
  np.testing.assert_array_equal(y, 112.5)
  assert [float(out['own']) for out in outs] == [1.0, 10.0, 100.0]
