"""Attention layers: equivariance, and self-attention as attention to oneself."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.layers.attention import CosineAttention, CrossAttention, SelfAttention


def inputs(t=5, d=8, seed=0):
  return jax.random.normal(jax.random.key(seed), (2, t, d))


def test_permuting_tokens_permutes_the_output():
  x, layer = inputs(), SelfAttention(2)
  variables = jax.jit(layer.init)(jax.random.key(0), x)
  order = np.array([3, 1, 0, 4, 2])
  y, seen = layer.apply(variables, x)
  permuted, permuted_seen = layer.apply(variables, x[:, order])
  weights, permuted_weights = seen['attention'], permuted_seen['attention']
  np.testing.assert_allclose(permuted, y[:, order], atol=1e-5)
  np.testing.assert_allclose(permuted_weights, weights[:, :, order][..., order], atol=1e-5)


def test_causal_hides_the_future():
  x, layer = inputs(), SelfAttention(2, causal=True)
  variables = jax.jit(layer.init)(jax.random.key(0), x)
  jacobian = jax.jit(jax.jacrev(lambda x: layer.apply(variables, x)[0][0].sum(-1)))(x)[:, 0]
  np.testing.assert_array_equal((jacobian != 0).any(-1), np.tril(np.ones((5, 5), bool)))


def test_cross_attention_to_oneself_is_self_attention():
  x, layer = inputs(), SelfAttention(2)
  params = jax.jit(layer.init)(jax.random.key(0), x)['params']
  qkv = params['qkv']
  crossed = dict(
    q={'kernel': qkv['kernel'][:, 0], 'bias': qkv['bias'][0]},
    kv={'kernel': qkv['kernel'][:, 1:], 'bias': qkv['bias'][1:]},
    out=params['out'],
  )
  mask = jnp.tril(jnp.ones((1, 1, 5, 5), bool))
  expected = layer.apply({'params': params}, x, mask=mask)
  got = CrossAttention(2).apply({'params': crossed}, x, x, mask=mask)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), got, expected)


def test_cross_attention_reads_a_context_of_another_length_and_width():
  x, context = inputs(), inputs(t=7, d=6, seed=1)
  layer = CrossAttention(2)
  (y, seen), variables = jax.jit(layer.init_with_output)(jax.random.key(0), x, context)
  assert (y.shape, seen['attention'].shape) == ((2, 5, 8), (2, 2, 5, 7))
  assert variables['params']['kv']['kernel'].shape == (6, 2, 2, 4)
  gradient = jax.jit(jax.grad(lambda c: layer.apply(variables, x, c)[0].sum()))(context)
  assert (gradient != 0).all()


@pytest.mark.parametrize('layer', [SelfAttention(2), CrossAttention(2)])
def test_on_a_cpu_no_product_of_many_matrices_reads_the_left_one_by_columns(layer):
  """XLA:CPU does that on one thread (`vitlab.ops.matmul`); optimised, it still must not."""
  x = inputs(t=16, d=12)
  xs = (x, x) if isinstance(layer, CrossAttention) else (x,)
  variables = layer.init(jax.random.key(0), *xs)
  gradient = jax.jit(jax.grad(lambda v: jnp.sin(layer.apply(v, *xs)[0]).sum()))
  text = gradient.lower(variables).compile().as_text()
  found = re.findall(r'lhs_batch_dims=\{0,1\}, lhs_contracting_dims=\{(\d)\}', text)
  assert len(found) == 6 and set(found) == {'3'}


def test_rotary_angles_reach_queries_and_keys_but_not_values():
  """Turning all tokens alike changes nothing; turning one changes what it looks at."""
  x, layer = inputs(), SelfAttention(2)
  variables = jax.jit(layer.init)(jax.random.key(0), x)
  y, _ = layer.apply(variables, x)
  alike, _ = layer.apply(variables, x, angles=np.ones((5, 2)))
  np.testing.assert_allclose(alike, y, atol=1e-5)
  one, seen = layer.apply(variables, x, angles=np.ones((5, 2)) * (np.arange(5) == 2)[:, None])
  assert abs(one - y).max() > 1e-3
  np.testing.assert_allclose(seen['attention'].sum(-1), 1, atol=1e-5)


def with_dropout(rate, layer=SelfAttention):
  """A layer, and its output in training as a function of a key."""
  x, layer = inputs(), layer(2, dropout_rate=rate)
  variables = jax.jit(layer.init)(jax.random.key(0), x)
  run = lambda key: layer.apply(variables, x, True, rngs={'dropout': key})  # noqa: E731
  return x, layer, variables, jax.jit(run)


@pytest.mark.parametrize('layer', [SelfAttention, CosineAttention])
def test_dropped_weights_give_on_average_what_all_of_them_give(layer):
  x, layer, variables, run = with_dropout(0.5, layer)
  wanted, seen = layer.apply(variables, x)
  found, weights = jax.vmap(run)(jax.random.split(jax.random.key(1), 4000))
  assert np.std(found, axis=0).min() > 0.1
  np.testing.assert_allclose(found.mean(0), wanted, atol=0.06)
  np.testing.assert_allclose(weights['attention'][7], seen['attention'], atol=1e-6)  # as looked at


def test_weights_are_dropped_in_training_alone_and_with_another_key_others():
  x, layer, variables, run = with_dropout(0.5)
  one, other = (run(jax.random.key(i))[0] for i in range(2))
  assert np.abs(one - other).max() > 0.1
  np.testing.assert_array_equal(run(jax.random.key(0))[0], one)
  still = layer.apply(variables, x, rngs={'dropout': jax.random.key(0)})[0]
  np.testing.assert_array_equal(still, SelfAttention(2).apply(variables, x)[0])


def test_a_rate_of_zero_is_the_program_without_dropout():
  _, _, _, none = with_dropout(0.0)
  x, layer, variables, _ = with_dropout(0.5)
  without = jax.jit(lambda key: layer.apply(variables, x))
  key = jax.random.key(0)
  assert none.lower(key).as_text() == without.lower(key).as_text()


def test_cosine_attention_sees_directions_alone():
  """Of its keys: ten times as long, they change nothing; nor do queries, but for their bias."""
  x, layer = inputs(), CosineAttention(2)
  variables = jax.jit(layer.init)(jax.random.key(0), x)
  weights = layer.apply(variables, x)[1]['attention']
  kernel = variables['params']['qkv']['kernel']
  variables['params']['qkv']['kernel'] = kernel.at[:, :2].multiply(10)
  np.testing.assert_allclose(layer.apply(variables, x)[1]['attention'], weights, atol=1e-5)


def test_cosine_attention_is_no_sharper_than_100():
  x, layer = inputs(), CosineAttention(2)
  variables = jax.jit(layer.init)(jax.random.key(0), x)
  weights = []
  for scale in (4.0, np.log(100), 6.0):
    variables['params']['logit_scale'] = jnp.full(2, scale)
    weights.append(layer.apply(variables, x)[1]['attention'])
  np.testing.assert_allclose(weights[1], weights[2], atol=1e-6)
  assert abs(weights[0] - weights[1]).max() > 1e-3


@pytest.mark.parametrize('causal', [True, False])
def test_tokens_of_the_past_are_seen_through_their_keys_and_values(causal):
  """All at once, or the last two after the first three, with room for more: the same."""
  x, layer = inputs(), SelfAttention(2, causal=causal)
  variables = jax.jit(layer.init)(jax.random.key(0), x)
  y, seen = layer.apply(variables, x)
  _, first = layer.apply(variables, x[:, :3])
  junk = [(0, 0), (0, 0), (0, 5), (0, 0)]
  past = tuple(jnp.pad(first[name], junk, constant_values=9.0) for name in 'kv')
  later, now = layer.apply(variables, x[:, 3:], past=past, length=jnp.array(3))
  np.testing.assert_allclose(later, y[:, 3:], atol=1e-6)
  attention = jnp.pad(seen['attention'][:, :, 3:], [(0, 0), (0, 0), (0, 0), (0, 3)])
  np.testing.assert_allclose(now['attention'], attention, atol=1e-6)
  for name, given in zip('kv', past):
    np.testing.assert_allclose(now[name][:, :, :5], seen[name])
    np.testing.assert_array_equal(now[name][:, :, 5:], given[:, :, 5:])


def test_what_may_not_be_seen_is_not_seen_in_the_past():
  x, layer = inputs(), SelfAttention(2, causal=True)
  variables = jax.jit(layer.init)(jax.random.key(0), x)
  mask = jnp.arange(5)[None, None, None] != 1
  y, seen = layer.apply(variables, x, mask=mask)
  past = (seen['k'], seen['v'])
  last, _ = layer.apply(variables, x[:, 4:], mask=mask, past=past, length=jnp.array(4))
  np.testing.assert_allclose(last, y[:, 4:], atol=1e-6)


def test_a_context_may_be_given_by_its_keys_and_values():
  x, context = inputs(), inputs(t=7, d=6, seed=1)
  layer = CrossAttention(2)
  (y, seen), variables = jax.jit(layer.init_with_output)(jax.random.key(0), x, context)
  again, _ = layer.apply(variables, x, (seen['k'], seen['v']))
  np.testing.assert_array_equal(again, y)


@pytest.mark.parametrize('layer', [SelfAttention(2), SelfAttention(2, num_kv_heads=1)])
def test_positions_are_in_queries_and_keys_and_not_in_values(layer):
  x, position = inputs(), inputs(seed=1)
  variables = jax.jit(layer.init)(jax.random.key(0), x)
  variables = jax.tree.map(lambda leaf: leaf + 0.1, variables)  # biases, too
  _, bare = layer.apply(variables, x)
  _, moved = layer.apply(variables, x + position)
  y, seen = layer.apply(variables, x, position=position)
  for name, expected in dict(attention=moved, k=moved, v=bare).items():
    np.testing.assert_allclose(seen[name], expected[name], atol=1e-6)
  check_mixed(layer, variables, y, seen)


def test_positions_of_a_context_are_in_its_keys_and_those_of_tokens_in_queries():
  (x, position), layer = (inputs(seed=s) for s in (0, 1)), CrossAttention(2)
  context, places = (inputs(t=7, d=6, seed=s) for s in (2, 3))
  variables = jax.jit(layer.init)(jax.random.key(0), x, context)
  variables = jax.tree.map(lambda leaf: leaf + 0.1, variables)
  _, bare = layer.apply(variables, x, context)
  _, moved = layer.apply(variables, x + position, context + places)
  y, seen = layer.apply(variables, x, context, position=position, context_position=places)
  for name, expected in dict(attention=moved, k=moved, v=bare).items():
    np.testing.assert_allclose(seen[name], expected[name], atol=1e-6)
  check_mixed(layer, variables, y, seen)


def check_mixed(layer, variables, y, seen):
  """The result is what the weights mix of the values, projected."""
  out, values = variables['params']['out'], seen['v']
  values = jnp.repeat(values, 2 // values.shape[1], axis=1)
  mixed = jnp.einsum('bnts,bnsk,nkd->btd', seen['attention'], values, out['kernel'])
  np.testing.assert_allclose(y, mixed + out['bias'], atol=1e-5)
