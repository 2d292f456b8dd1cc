"""Contents and queries attend by content, distance and segment: against loops over the paper."""

import jax
import jax.numpy as jnp
import numpy as np

from vitlab.layers.two_stream_attention import TwoStreamAttention
from vitlab.ops.relative import sincos_of_distances

B, T, M, Q, D, N = 2, 5, 3, 2, 8, 2


def arguments(random):
  keys = M + T
  x = random.normal(size=(B, T + Q, D))
  before = random.normal(size=(B, M, D))
  place = np.concatenate([np.tile(np.arange(T), (B, 1)), [[3, 0], [2, 4]]], 1)
  different = random.random((B, T + Q, keys)) < 0.5
  mask = random.random((B, 1, T + Q, keys)) < 0.7
  mask[..., 0] = True
  distances = np.asarray(sincos_of_distances(keys, 1 - T, D))
  named = dict(place=M + place, distances=distances, different=different, mask=mask, before=before)
  return jax.tree.map(jnp.asarray, (x, named))


def by_loop(params, x, place, distances, different, mask, before):
  """Row by row and key by key, as section 2.5 and Transformer-XL's four terms say."""
  k = D // N
  read = np.concatenate([before, x], 1)[:, : M + T]
  project = lambda x, kernel: np.einsum('...d,dnk->...nk', x, kernel)  # noqa: E731
  q, key = project(x, params['q']['kernel']), project(read, params['kv']['kernel'][:, 0])
  value, r = (
    project(read, params['kv']['kernel'][:, 1]),
    project(distances, params['r']['kernel']),
  )
  out = np.zeros((B, T + Q, N, k))
  for b, i, n in np.ndindex(B, T + Q, N):
    scores = np.full(M + T, -np.inf)
    for j in range(M + T):
      segment = params['segments'][int(different[b, i, j]), n]
      distance = place[b, i] - j
      score = (q[b, i, n] + params['content_bias'][n]) @ key[b, j, n]
      score += (q[b, i, n] + params['position_bias'][n]) @ r[M + T - distance, n]
      score += (q[b, i, n] + params['segment_bias'][n]) @ segment
      scores[j] = score / k**0.5 if mask[b, 0, i, j] else -np.inf
    weights = np.exp(scores - scores.max())
    out[b, i, n] = weights / weights.sum() @ value[b, :, n]
  return np.einsum('btnk,nkd->btd', out, params['out']['kernel'])


def test_it_is_what_loops_over_the_paper_compute(x64):
  random = np.random.default_rng(0)
  x, named = arguments(random)
  layer = TwoStreamAttention(N, dtype='float64')
  shapes = jax.eval_shape(layer.init, jax.random.key(0), x, **named)['params']
  params = jax.tree.map(lambda leaf: random.normal(0, 0.5, leaf.shape), shapes)
  y, out = jax.jit(lambda p: layer.apply({'params': p}, x, **named))(params)
  np.testing.assert_allclose(y, by_loop(params, x, **named), atol=1e-6)  # sinusoids in float32
  np.testing.assert_allclose(out['attention'].sum(-1), 1)
  assert out['k'].shape == (B, N, M + T, D // N)


def test_no_row_reads_a_query(x64):
  random = np.random.default_rng(0)
  x, named = arguments(random)
  layer = TwoStreamAttention(N, dtype='float64')
  variables = jax.jit(lambda: layer.init(jax.random.key(0), x, **named))()
  apply = jax.jit(lambda x: layer.apply(variables, x, **named)[0])
  other = x.at[:, T].add(1.0)
  moved = np.abs(apply(other) - apply(x)).max((0, 2))
  assert moved[T] > 0 and not np.delete(moved, T).any()
