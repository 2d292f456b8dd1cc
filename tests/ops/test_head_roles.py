"""Shares of attention against a loop over heads, places and what they see."""

import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.ops import head_roles

RANDOM = np.random.default_rng(0)
TOKENS = np.array([[0, 1, 2, 0, 1, 1, 2, 0], [3, 2, 3, 3, 1, 2, 0, 0]], np.int32)
SEGMENTS = np.array([[1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 2, 2, 2, 0, 0]], np.int32)
SEPARATES = np.array([False, False, True, False])


def causal(heads=3):
  """Random weights on what is seen, zero elsewhere; rows sum to one."""
  weights = RANDOM.uniform(0.1, 1, (2, heads, 8, 8))
  s, t = np.arange(8), np.arange(8)[:, None]
  seen = (SEGMENTS[:, :, None] == SEGMENTS[:, None, :]) & (s <= t)
  weights = weights * seen[:, None]
  return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


def roles_of(tokens, start, t, s):
  """The names of what s is for t, in a document that starts at `start`."""
  named = {
    'previous': s == t - 1,
    'first': s == start,
    'same': s < t and tokens[s] == tokens[t],
    'after same': start < s < t and tokens[s - 1] == tokens[t],
    'separator': s < t and SEPARATES[tokens[s]],
    'itself': s == t,
  }
  return [name for name, holds in named.items() if holds]


def by_hand(weights):
  names = list(head_roles.ROLES)
  sums, alike, places = np.zeros((len(names), weights.shape[1])), np.zeros(len(names)), 0
  for row in range(2):
    for document in set(SEGMENTS[row]) - {0}:
      start, *others = np.flatnonzero(SEGMENTS[row] == document)
      places += len(others)
      for t in others:
        for s in range(start, t + 1):
          for name in roles_of(TOKENS[row], start, t, s):
            sums[names.index(name)] += weights[row, :, t, s]
            alike[names.index(name)] += 1 / (t + 1 - start)
  return sums, alike, places


def test_as_counted_one_by_one():
  weights = causal()
  found = head_roles.shares(*map(jnp.asarray, (weights, TOKENS, SEPARATES, SEGMENTS)))
  for ours, wanted in zip(found, by_hand(weights)):
    np.testing.assert_allclose(ours, wanted, rtol=1e-5)


@pytest.mark.parametrize(
  ('role', 'place'),
  [
    ('previous', lambda t: max(t - 1, 0)),
    ('first', lambda t: 0),
    ('itself', lambda t: t),
  ],
)
def test_a_head_of_one_role_has_all_of_its_attention_there(role, place):
  weights = np.zeros((1, 1, 8, 8), np.float32)
  for t in range(8):
    weights[0, 0, t, place(t)] = 1
  arrays = (weights, TOKENS[:1], SEPARATES, SEGMENTS[:1])
  sums, _, places = head_roles.shares(*map(jnp.asarray, arrays))
  assert sums[list(head_roles.ROLES).index(role), 0] == places == 7


def test_a_head_that_looks_everywhere_alike_is_what_it_is_measured_against():
  seen = np.tril(np.ones((8, 8), np.float32))
  weights = (seen / seen.sum(-1, keepdims=True))[None, None]
  arrays = (weights, TOKENS[:1], SEPARATES, SEGMENTS[:1])
  sums, alike, _ = head_roles.shares(*map(jnp.asarray, arrays))
  np.testing.assert_allclose(sums[:, 0], alike, rtol=1e-6)


def test_many_places_of_half_precision_are_summed_exactly():
  length = 600
  weights = jnp.eye(length, dtype=jnp.bfloat16)[None, None]
  ones = jnp.ones((1, length), jnp.int32)
  sums, _, places = head_roles.shares(weights, ones, jnp.zeros(2, bool), ones)
  assert sums.dtype == jnp.float32
  assert sums[list(head_roles.ROLES).index('itself'), 0] == places == length - 1
