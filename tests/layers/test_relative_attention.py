"""Relative attention against the four terms of the paper, one pair of tokens at a time."""

import jax
import jax.numpy as jnp
import numpy as np

from vitlab.layers.relative_attention import RelativeAttention
from vitlab.ops.relative import sincos_of_distances

T, M, D, HEADS, K = 3, 2, 8, 2, 4
RANDOM = np.random.default_rng(0)
X, BEFORE = RANDOM.normal(size=(2, T, D)), RANDOM.normal(size=(2, M, D))


def layer():
  model = RelativeAttention(HEADS, K, jnp.float64, jax.nn.initializers.normal(0.5))
  table = sincos_of_distances(T + M - 1, 0, D, dtype=jnp.float64)
  variables = jax.jit(model.init)(jax.random.key(0), X, distances=table)
  return model, table, jax.tree.map(lambda x: x.astype(jnp.float64), variables)


def by_hand(params, read, mask):
  """Equation of section 3.3: every query, every key, every head."""
  qkv, r = (params[name]['kernel'] for name in ('qkv', 'r'))
  u, v = params['content_bias'], params['position_bias']
  y = np.zeros((2, T, D))
  for b, i, n in np.ndindex(2, T, HEADS):
    query, scores, values = X[b, i] @ qkv[:, 0, n], [], []
    for j in range(len(read[b])):
      frequency = 10_000 ** -(np.arange(0, D, 2) / D)
      angle = (len(read[b]) - T + i - j) * frequency
      distance = np.concatenate([np.sin(angle), np.cos(angle)]) @ r[:, n]
      key = read[b, j] @ qkv[:, 1, n]
      score = query @ key + query @ distance + u[n] @ key + v[n] @ distance
      scores.append(score / K**0.5 if mask[i, j] else -np.inf)
      values.append(read[b, j] @ qkv[:, 2, n])
    y[b, i] += (
      np.asarray(jax.nn.softmax(jnp.array(scores)) @ np.array(values)) @ params['out']['kernel'][n]
    )
  return y


def test_it_is_the_equation_of_the_paper(x64):
  model, table, variables = layer()
  params = jax.tree.map(np.asarray, variables['params'])
  mask = np.tril(np.ones((T, T + M), bool), M)
  found, seen = jax.jit(model.apply)(
    variables, X, distances=table, before=BEFORE, mask=mask[None, None]
  )
  read = np.concatenate([BEFORE, X], axis=1)
  np.testing.assert_allclose(found, by_hand(params, read, mask), rtol=1e-12)
  np.testing.assert_allclose(seen['attention'].sum(-1), 1)
  assert not seen['attention'][:, :, ~mask].any()
  # Without a memory the same distances are those of the tokens alone.
  mask = mask[:, M:]
  found, _ = jax.jit(model.apply)(variables, X, distances=table[M:], mask=mask[None, None])
  np.testing.assert_allclose(found, by_hand(params, X, mask), rtol=1e-12)
