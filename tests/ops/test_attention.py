"""Attention against its definition, and what each argument means."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.ops import attention
from vitlab.ops.attention import attend, attention_weights


def operands(b=2, n=3, t=5, s=7, k=8, v=6, dtype='float32'):
  keys = jax.random.split(jax.random.key(0), 4)
  shapes = (b, n, t, k), (b, n, s, k), (b, n, s, v), (b, n, t, s)
  return [jax.random.normal(key, shape, dtype) for key, shape in zip(keys, shapes)]


def brute_force(q, k, v, bias, mask, scale):
  """Equation 1 of arXiv:1706.03762, one query at a time."""
  q, k, v, bias = (np.asarray(x, np.float64) for x in (q, k, v, bias))
  out = np.zeros((*q.shape[:3], v.shape[-1]))
  for b, n, t in np.ndindex(*q.shape[:3]):
    seen = np.flatnonzero(mask[b, n, t])
    logits = np.array([scale * q[b, n, t] @ k[b, n, s] + bias[b, n, t, s] for s in seen])
    weights = np.exp(logits) / np.exp(logits).sum()
    out[b, n, t] = sum(w * v[b, n, s] for w, s in zip(weights, seen))
  return out


@pytest.mark.parametrize('scale', [None, 0.3])
def test_equals_the_definition(scale):
  q, k, v, bias = operands()
  mask = np.random.default_rng(0).random(bias.shape) < 0.6
  mask[..., 0] = True
  out = attend(q, k, v, bias=bias, mask=jnp.asarray(mask), scale=scale)
  expected = brute_force(q, k, v, bias, mask, scale or 8**-0.5)
  np.testing.assert_allclose(out, expected, atol=1e-6)


def test_the_weights_give_the_output():
  q, k, v, bias = operands()
  mask = jax.random.bernoulli(jax.random.key(1), 0.5, (2, 1, 5, 7))  # for all heads alike
  options = dict(bias=bias[:1], mask=mask)  # for all images alike
  weights = attention_weights(q, k, **options)
  np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
  assert weights[:, :, mask[:, 0].any(-1).all(0)].min() >= 0
  np.testing.assert_allclose(weights @ v, attend(q, k, v, **options), atol=1e-6)


def test_dropped_weights_are_those_of_the_softmax_and_the_rest_does_not_take_their_part():
  q, k, v, bias = operands()
  kept = jax.random.bernoulli(jax.random.key(1), 0.5, bias.shape)
  drop = lambda weights: jnp.where(kept, weights / 0.5, 0)  # noqa: E731
  found = attend(q, k, v, bias=bias, drop=drop)
  weights = attention_weights(q, k, bias=bias)
  np.testing.assert_allclose(found, drop(weights) @ v, atol=1e-6)
  renormalised = drop(weights) / jnp.maximum(drop(weights).sum(-1, keepdims=True), 1e-6)
  assert np.abs(found - renormalised @ v).max() > 0.1


def test_a_masked_key_has_no_influence_and_takes_no_gradient():
  q, k, v, _ = operands()
  mask = jnp.ones((1, 1, 1, 7), bool).at[..., 3].set(False)
  f = jax.grad(lambda k, v: jnp.sin(attend(q, k, v, mask=mask)).sum(), argnums=(0, 1))
  for gradient in f(k, v):
    assert not gradient[:, :, 3].any()
    assert gradient[:, :, 2].all()


def test_causal_hides_the_future():
  q, k, v, _ = operands(t=7)
  jacobian = jax.jacrev(lambda v: attend(q, k, v, causal=True)[0, 0, :, 0])(v)[:, 0, 0, :, 0]
  np.testing.assert_array_equal(jacobian != 0, np.tril(np.ones((7, 7), bool)))
  both = attend(q, k, v, causal=True, mask=jnp.ones((1, 1, 1, 7), bool).at[..., 0].set(False))
  np.testing.assert_allclose(both[:, :, 1], v[:, :, 1], atol=1e-6)


def test_a_query_that_may_look_nowhere_stays_finite():
  q, k, v, _ = operands()
  f = lambda q: attend(q, k, v, mask=jnp.zeros((1, 1, 1, 1), bool)).sum()  # noqa: E731
  value, gradient = jax.value_and_grad(f)(q)
  assert np.isfinite(value)
  assert not gradient.any()
  out = attend(q, k, v, mask=jnp.zeros((1, 1, 1, 1), bool))
  np.testing.assert_allclose(out, jnp.broadcast_to(v.mean(2, keepdims=True), out.shape), atol=1e-6)


def test_the_softmax_of_large_16_bit_logits_is_float32():
  q, k, v, _ = operands(dtype='bfloat16')
  q = q * 30
  assert attend(q, k, v).dtype == jnp.bfloat16
  weights = attention_weights(q, k)
  assert weights.dtype == jnp.float32
  exact = attention_weights(q.astype('float32'), k.astype('float32'))
  np.testing.assert_allclose(weights, exact, atol=1e-5)


def test_float64_stays(x64):
  q, k, v, bias = operands(dtype='float64')
  mask = np.ones(bias.shape, bool)
  expected = brute_force(q, k, v, bias, mask, 8**-0.5)
  np.testing.assert_allclose(attend(q, k, v, bias=bias), expected, atol=1e-14)


def test_additive_logits_are_their_definition(x64):
  random = np.random.default_rng(0)
  q, k, weight = (random.normal(size=shape) for shape in [(2, 3, 4), (2, 5, 4), (4,)])
  logits = attention.additive_logits(*map(jnp.asarray, (q, k, weight)))
  for b, t, s in np.ndindex(2, 3, 5):
    assert logits[b, t, s] == pytest.approx(weight @ np.tanh(q[b, t] + k[b, s]), abs=1e-14)


def test_additive_logits_in_16_bits_are_float32():
  q = jnp.ones((1, 2, 4), jnp.bfloat16)
  assert attention.additive_logits(q, q, jnp.ones(4, jnp.bfloat16)).dtype == jnp.float32


@pytest.mark.parametrize('causal', [False, True])
@pytest.mark.parametrize('extras', ['', 'bias', 'mask'])
def test_the_fused_path_computes_the_same(causal, extras, x64):
  """Its layouts and arguments, with jax's own kernel standing in for cuDNN's."""
  q, k, v, bias = operands(t=6, s=6, v=8, dtype='float64')
  mask = jax.random.bernoulli(jax.random.key(1), 0.7, bias.shape).at[..., 0].set(True)
  bias, mask = bias if extras == 'bias' else None, mask if extras == 'mask' else None

  def f(path):
    return jax.value_and_grad(lambda q, k, v: jnp.sin(path(q, k, v)).sum(), argnums=(0, 1, 2))

  own = f(lambda q, k, v: attend(q, k, v, bias=bias, mask=mask, causal=causal, scale=0.4))
  fused = f(lambda q, k, v: attention._fused(q, k, v, bias, mask, causal, 0.4, 'xla'))
  for a, b in zip(jax.tree.leaves(own(q, k, v)), jax.tree.leaves(fused(q, k, v))):
    np.testing.assert_allclose(a, b, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
  ('backend', 'options', 'extras', 'expected'),
  [
    ('gpu', dict(dtype='bfloat16', v=8), '', True),
    ('gpu', dict(dtype='float16', v=8), '', True),
    ('cpu', dict(dtype='bfloat16', v=8), '', False),
    ('tpu', dict(dtype='bfloat16', v=8), '', False),
    ('gpu', dict(dtype='float32', v=8), '', False),
    ('gpu', dict(dtype='bfloat16', v=16), '', False),
    ('gpu', dict(dtype='bfloat16', k=12, v=12), '', False),
    ('gpu', dict(dtype='bfloat16', k=136, v=136), '', False),
    ('gpu', dict(dtype='bfloat16', v=8), 'bias', False),  # odd lengths
    ('gpu', dict(dtype='bfloat16', v=8, t=6, s=8), 'bias', True),
    ('gpu', dict(dtype='bfloat16', v=8, t=6, s=8), 'mask', False),  # broadcast over queries
    ('gpu', dict(dtype='bfloat16', v=8, t=6, s=6), 'causal', True),
    ('gpu', dict(dtype='bfloat16', v=8, t=6, s=8), 'causal', False),  # starts at the first key
  ],
)
def test_cudnn_is_asked_only_for_what_it_can(backend, options, extras, expected, monkeypatch):
  sizes = dict(b=2, n=3, t=5, s=7, k=8, dtype='float32') | options
  b, n, t, s, k = (sizes[axis] for axis in 'bntsk')
  q, keys, v, bias, mask = (
    jax.ShapeDtypeStruct(shape, sizes['dtype'])
    for shape in ((b, n, t, k), (b, n, s, k), (b, n, s, sizes['v']), (1, n, t, s), (b, 1, 1, s))
  )
  monkeypatch.setattr(jax, 'default_backend', lambda: backend)
  bias, mask = bias if extras == 'bias' else None, mask if extras == 'mask' else None
  assert attention._cudnn_can(q, keys, v, bias, mask, extras == 'causal') == expected


def test_causal_aligns_the_last_query_with_the_last_key():
  """Two queries after three keys of the past."""
  q, k, v, _ = operands(b=1, n=1, t=2, s=5)
  jacobian = jax.jacrev(lambda k: attend(q, k, v, causal=True).sum((0, 1, 3)))(k)[:, 0, 0]
  seen = np.any(jacobian != 0, axis=-1)
  np.testing.assert_array_equal(seen, [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]])


def test_dropped_weights_do_not_go_to_a_kernel_that_drops_none(monkeypatch):
  q, k, v, _ = operands(s=5, v=8, dtype='bfloat16')
  monkeypatch.setattr(attention, '_cudnn_can', lambda *_: True)
  monkeypatch.setattr(attention, '_fused', lambda *_: jnp.ones_like(v))
  assert (attend(q, k, v) == 1).all()
  assert not attend(q, k, v, drop=jnp.zeros_like).any()


@pytest.mark.parametrize('causal', [False, True])
@pytest.mark.parametrize('extras', ['', 'bias', 'mask'])
@pytest.mark.parametrize('block', [3 * 2 * 2 * 19, 2**24])
def test_long_rows_are_computed_in_blocks_and_are_the_same(causal, extras, block, x64, monkeypatch):
  """Blocks of 3 queries, and a rest of 2, of 2 on each step down; keys are more than queries."""
  rng = np.random.default_rng(0)
  q, k, v = (jnp.asarray(rng.normal(size=(2, 2, t, 4))) for t in (17, 19, 19))
  bias = jnp.asarray(rng.normal(size=(1, 2, 17, 19))) if extras == 'bias' else None
  mask = jnp.asarray(rng.random((2, 1, 1, 19)) < 0.7) if extras == 'mask' else None

  def answers():
    value = lambda *xs: jnp.sin(attend(*xs, mask=mask, causal=causal)).sum()  # noqa: E731
    of_bias = lambda q, k, v, b: jnp.sin(attend(q, k, v, bias=b, causal=causal)).sum()  # noqa: E731
    if bias is not None:
      return jax.value_and_grad(of_bias, (0, 1, 2, 3))(q, k, v, bias)
    return jax.value_and_grad(value, (0, 1, 2))(q, k, v)

  whole = answers()
  asked = []
  monkeypatch.setattr(attention, 'BLOCK', block)
  monkeypatch.setattr(attention, 'LEAST_ROWS', 1)
  in_blocks = attention._in_blocks
  monkeypatch.setattr(attention, '_in_blocks', lambda *xs: asked.append(xs[0]) or in_blocks(*xs))
  for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(answers()), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-12)
  assert set(asked) == (set() if block == 2**24 else {2} if causal else {3})


def test_causal_compares_no_queries_with_keys_that_none_of_them_sees():
  x = jax.ShapeDtypeStruct((1, 2, 512, 64), jnp.float32)
  counted = [
    jax.jit(functools.partial(attend, causal=causal)).lower(x, x, x).compile().cost_analysis()
    for causal in (False, True)
  ]
  assert counted[1]['flops'] < 0.7 * counted[0]['flops']


def test_long_rows_take_memory_for_a_block_of_logits(monkeypatch):
  x = jax.ShapeDtypeStruct((1, 2, 1024, 8), jnp.float32)

  def temporaries():
    gradient = jax.grad(lambda *xs: jnp.sin(attend(*xs)).sum(), (0, 1, 2))
    return jax.jit(gradient).lower(x, x, x).compile().memory_analysis().temp_size_in_bytes

  whole = temporaries()
  monkeypatch.setattr(attention, 'BLOCK', 2**16)
  assert temporaries() < 0.25 * whole


@pytest.mark.parametrize('block', [2**24, 64])
def test_a_program_for_any_number_of_rows_attends_alike(monkeypatch, block):
  monkeypatch.setattr(attention, 'BLOCK', block)
  monkeypatch.setattr(attention, 'LEAST_ROWS', 2)
  (b,) = jax.export.symbolic_shape('b')
  shape = jax.ShapeDtypeStruct((b, 2, 16, 4), jnp.float32)
  program = jax.export.export(jax.jit(attention.attend))(shape, shape, shape)
  q, k, v = jax.random.normal(jax.random.key(0), (3, 5, 2, 16, 4))
  np.testing.assert_allclose(program.call(q, k, v), attention.attend(q, k, v), atol=1e-6)
