"""Maps, rollout and distances against loops over single tokens, and where the answer is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.ops import attention_maps as maps
from vitlab.ops import windows

RANDOM = np.random.default_rng(0)
SHIFTED = maps.windowed((5, 6), window=3, shift=1)  # with a row of padding


def weights_of(layout, heads=2, seed=0):
  """Random weights; rows sum to one."""
  g, t = layout.places.shape
  random = np.random.default_rng(seed)
  return random.dirichlet(np.ones(t), (g, heads, t)).astype(np.float32)


def full_matrix(weights, layout):
  """n x places x places: windows scattered back onto the map, without padding, token by token."""
  g, n, t, _ = weights.shape
  full = np.zeros((n, layout.count, layout.count))
  for group in range(g):
    for query in range(t):
      for key in range(t):
        a, b = layout.places[group, [query, key]]
        if a >= 0 and b >= 0:
          full[:, a, b] += weights[group, :, query, key]
  return full / full.sum(-1, keepdims=True)


def test_places_of_windows_are_those_that_the_model_cuts():
  index = np.arange(30, dtype=np.float32).reshape(1, 5, 6, 1) + 1  # 0 is padding
  padded = windows.pad_to_multiple(jnp.asarray(index), 3, 3)
  cut = windows.partition(windows.cyclic_shift(padded, 1), 3)
  np.testing.assert_array_equal(SHIFTED.places, np.asarray(cut)[0, ..., 0] - 1)
  assert sorted(SHIFTED.places[SHIFTED.places >= 0]) == list(range(30))


@pytest.mark.parametrize('layout', [SHIFTED, maps.everywhere((2, 3), prefix=2)])
def test_relevance_flows_as_through_the_full_matrix(layout):
  weights = weights_of(layout)
  full = full_matrix(weights, layout)
  relevance = RANDOM.dirichlet(np.ones(layout.count), 4).astype(np.float32)
  found = maps.looks(jnp.asarray(relevance), jnp.asarray(weights), layout)
  expected = np.einsum('qp,npr->qnr', relevance, full)[..., layout.prefix :]
  np.testing.assert_allclose(found, expected.reshape(4, 2, *layout.grid), atol=1e-6)


def test_the_map_of_a_query_is_its_row():
  layout = maps.everywhere((2, 3), prefix=1)
  weights = weights_of(layout)
  found = maps.looks(jnp.asarray(maps.one_hot([4], layout)), jnp.asarray(weights), layout)
  np.testing.assert_allclose(found[0], weights[0, :, 4, 1:].reshape(2, 2, 3), rtol=1e-6)


def test_padding_takes_no_attention():
  kept = np.asarray(maps.without_padding(jnp.asarray(weights_of(SHIFTED)), SHIFTED))
  there = SHIFTED.places >= 0
  np.testing.assert_allclose(kept.sum(-1), 1, rtol=1e-5)
  assert not kept[np.broadcast_to(~there[:, None, None, :], kept.shape)].any()


@pytest.mark.parametrize('fusion', ['mean', 'max', 'min'])
def test_rollout_multiplies_the_mixing_of_all_blocks(fusion):
  layout = maps.everywhere((2, 2), prefix=1)
  blocks = [weights_of(layout, heads=3, seed=i) for i in range(3)]
  expected = np.eye(5)
  for block in blocks:
    mixed = getattr(np, fusion)(block[0], axis=0)
    expected = (mixed / mixed.sum(-1, keepdims=True) + np.eye(5)) / 2 @ expected
  pairs = [(jnp.asarray(block), layout) for block in blocks]
  found = maps.rollout(pairs, jnp.eye(5), fusion)
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_rollout_of_windows_is_that_of_full_attention():
  layouts = [maps.windowed((4, 6), 2), maps.windowed((4, 6), 2, shift=1)]
  blocks = [weights_of(layout, seed=i) for i, layout in enumerate(layouts)]
  everywhere = maps.everywhere((4, 6))
  full = [
    (jnp.asarray(full_matrix(block, layout)[None], jnp.float32), everywhere)
    for block, layout in zip(blocks, layouts)
  ]
  cut = [(jnp.asarray(block), layout) for block, layout in zip(blocks, layouts)]
  found, expected = (maps.rollout(blocks, jnp.eye(24)) for blocks in (cut, full))
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_rollout_of_tokens_that_look_at_themselves_is_the_identity():
  layout = maps.windowed((4, 4), 2, shift=1)
  identity = jnp.broadcast_to(jnp.eye(4), (4, 2, 4, 4))
  found = maps.rollout([(identity, layout)] * 3, jnp.eye(16))
  np.testing.assert_allclose(found, np.eye(16), atol=1e-6)


def test_a_merged_cell_hands_its_relevance_to_the_cells_it_was_made_of():
  fine, coarse = maps.everywhere((3, 4)), maps.everywhere((2, 2))
  found = maps.spread(jnp.asarray([[0.4, 0.0, 0.0, 0.6]]), coarse, fine)
  expected = np.array([[0.1, 0.1, 0, 0], [0.1, 0.1, 0, 0], [0, 0, 0.3, 0.3]])
  np.testing.assert_allclose(found.reshape(3, 4), expected, rtol=1e-6)


def test_rollout_through_a_merging_keeps_all_relevance():
  layouts = [maps.windowed((6, 5), 3), maps.windowed((3, 3), 3)]
  blocks = [(jnp.asarray(weights_of(layout)), layout) for layout in layouts]
  found = maps.rollout(blocks, jnp.asarray(maps.patches(layouts[1]))[None])
  assert found.shape == (1, 30)
  assert float(found.sum()) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize('layout', [SHIFTED, maps.everywhere((3, 2), prefix=2)])
def test_distance_is_the_mean_over_queries_and_keys(layout):
  weights = weights_of(layout)
  full = full_matrix(weights, layout)[:, layout.prefix :, layout.prefix :]
  full /= full.sum(-1, keepdims=True)
  places = [(4 * y, 8 * x) for y in range(layout.grid[0]) for x in range(layout.grid[1])]
  distances = [[np.hypot(a - c, b - d) for c, d in places] for a, b in places]
  expected = (full * distances).sum(-1).mean(-1)
  found = maps.attention_distance(jnp.asarray(weights), layout, (4, 8))
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_distance_of_uniform_and_of_own_attention():
  layout = maps.everywhere((1, 3))  # distances 0 16 32 / 16 0 16 / 32 16 0
  uniform = jnp.full((1, 1, 3, 3), 1 / 3)
  weights = jnp.concatenate([uniform, jnp.eye(3)[None, None]], axis=1)
  found = maps.attention_distance(weights, layout, (16, 16))
  np.testing.assert_allclose(found, [16 * 8 / 9, 0], rtol=1e-6)


def test_an_unknown_fusion_is_explained():
  layout = maps.everywhere((1, 2))
  with pytest.raises(UserError, match='median'):
    maps.rollout([(jnp.ones((1, 1, 2, 2)) / 2, layout)], jnp.eye(2), 'median')
