"""Alignments against their formulas, sentence by sentence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from vitlab.errors import UserError
from vitlab.layers.alignment import align, make_alignment

WIDTH, RANDOM = 4, np.random.default_rng(0)
STATE, HIDDEN = RANDOM.normal(size=(2, 3, WIDTH)), RANDOM.normal(size=(2, 5, 6))


def scores(name, p, s, h):
  if name == 'additive':
    compared = s @ p['query']['kernel'] + h @ p['key']['kernel'] + p['key']['bias']
    return np.tanh(compared) @ p['v']
  q = s if name == 'general' else s @ p['query']['kernel']
  return q @ (h @ p['key']['kernel']) / (WIDTH**0.5 if name.startswith('scaled') else 1)


@pytest.mark.parametrize('name', ['additive', 'multiplicative', 'scaled_multiplicative', 'general'])
def test_logits_are_the_formula(name, x64):
  layer = make_alignment(name, WIDTH, jnp.float64)

  def both(layer, state, hidden):
    return layer.logits(state, layer.keys(hidden))

  state, hidden = jnp.asarray(STATE), jnp.asarray(HIDDEN)
  like = jax.eval_shape(lambda: layer.init(jax.random.key(0), state, hidden, method=both))
  random = np.random.default_rng(1)
  params = jax.tree.map(lambda x: random.normal(size=x.shape), like)
  logits = layer.apply(jax.tree.map(jnp.asarray, params), state, hidden, method=both)
  for b, t, i in np.ndindex(2, 3, 5):
    expected = scores(name, params['params'], STATE[b, t], HIDDEN[b, i])
    assert logits[b, t, i] == pytest.approx(expected, abs=1e-12)


def test_a_context_is_the_weighted_mean_of_what_counts(x64):
  logits = jnp.asarray(np.random.default_rng(2).normal(size=(2, 3, 5)))
  mask = jnp.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
  context, weights = align(logits, jnp.asarray(HIDDEN), mask)
  for b, t in np.ndindex(2, 3):
    length = int(mask[b].sum())
    alpha = softmax(logits[b, t, :length])
    np.testing.assert_allclose(weights[b, t, :length], alpha, rtol=1e-12)
    np.testing.assert_allclose(context[b, t], alpha @ HIDDEN[b, :length], rtol=1e-12)
    assert not np.any(weights[b, t, length:])


def test_an_unknown_alignment_is_refused():
  with pytest.raises(UserError, match='did you mean additive'):
    make_alignment('aditive', 3)
