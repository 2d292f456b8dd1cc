"""The order of training is a permutation in every epoch, whatever is asked for and when."""

import numpy as np
import pytest

from vitlab.data import order as order_lib


@pytest.mark.parametrize('length', [1, 2, 3, 17, 1437])
def test_every_epoch_is_a_permutation(length):
  walk = order_lib.epoch_shuffle(np.arange(3 * length), length, seed=7).reshape(3, length)
  np.testing.assert_array_equal(np.sort(walk, axis=1), np.tile(np.arange(length), (3, 1)))


def test_positions_can_be_asked_for_in_any_order():
  walk = order_lib.epoch_shuffle(np.arange(500), 100, seed=3)
  positions = np.random.default_rng(0).permutation(500)[:60]
  np.testing.assert_array_equal(order_lib.epoch_shuffle(positions, 100, seed=3), walk[positions])
  far = np.array([10**15 * 100 + 5, 7])
  assert order_lib.epoch_shuffle(far, 100, seed=3)[1] == walk[7]


def test_seeds_and_epochs_are_unrelated():
  orders = [order_lib.permutation(50, seed, stream) for seed in range(-2, 3) for stream in range(5)]
  assert len({order.tobytes() for order in orders}) == 25


def test_permutations_are_uniform():
  """Chi-squared over the 24 orders of 4 examples; 23 degrees of freedom exceed 60 once in 3e4."""
  counts = np.zeros(256)
  for epoch in range(2400):
    counts[order_lib.permutation(4, 5, epoch) @ [64, 16, 4, 1]] += 1
  seen = counts[counts > 0]
  assert len(seen) == 24
  assert ((seen - 100) ** 2 / 100).sum() < 60


def test_order_does_not_change_between_versions():
  """The numbers are part of the promise that a run can be made again: never edit them."""
  np.testing.assert_array_equal(order_lib.permutation(8, 0, 0), [0, 3, 5, 7, 6, 2, 1, 4])


def test_draws_are_a_function_of_seed_and_position():
  """The numbers are part of the promise that a run can be made again: never edit them."""
  wanted = [588, 210, 942, 337, 223, 634, 921, 171]
  np.testing.assert_array_equal(order_lib.draws(np.arange(8), 1000, 0), wanted)
  np.testing.assert_array_equal(order_lib.draws(np.array([7, 2]), 1000, 0), [171, 942])
  assert not np.array_equal(order_lib.draws(np.arange(8), 1000, 1), wanted)
  assert not order_lib.draws(np.array([10**15]), 1, 5).any()


def test_draws_are_uniform_and_independent():
  """Chi-squared over 400 pairs of neighbours; 399 degrees of freedom exceed 510 once in 1e4."""
  found = order_lib.draws(np.arange(40_000), 20, 3).reshape(-1, 2)
  counts = np.bincount(found @ [20, 1], minlength=400)
  assert ((counts - 50) ** 2 / 50).sum() < 510


@pytest.mark.parametrize('fraction', [0.1, 0.5, 0.8])
def test_prefixes_are_stratified(fraction):
  counts = np.array([200, 50, 7, 1])
  labels = np.random.default_rng(0).permutation(np.repeat(np.arange(4), counts))
  order = order_lib.stratified(labels, seed=1)
  np.testing.assert_array_equal(np.sort(order), np.arange(len(labels)))
  prefix = labels[order[: round(fraction * len(labels))]]
  assert np.abs(np.bincount(prefix, minlength=4) - fraction * counts).max() <= 1


def test_stratified_is_random_within_a_class_by_seed():
  labels = np.zeros(30, np.int64)
  assert not np.array_equal(order_lib.stratified(labels, 0), order_lib.stratified(labels, 1))
  assert not np.array_equal(order_lib.stratified(labels, 0), np.arange(30))


def test_uniform_numbers_are_even_and_of_their_place_alone():
  found = order_lib.uniform(np.arange(100_000), key=3)
  assert found.min() >= 0 and found.max() < 1
  np.testing.assert_allclose(np.bincount((found * 10).astype(int)) / 1e5, 0.1, atol=0.004)
  np.testing.assert_array_equal(order_lib.uniform(np.array([7, 5]), key=3), found[[7, 5]])
  others = [
    order_lib.uniform(np.arange(100_000), key=4),
    order_lib.uniform(np.arange(100_000), key=3, stream=1),
  ]
  assert all(abs(np.corrcoef(found, other)[0, 1]) < 0.02 for other in others)


def test_every_epoch_of_every_seed_has_its_own_draws():
  keys = {order_lib.draw_key(seed, epoch) for seed in range(-20, 20) for epoch in range(50)}
  assert len(keys) == 2000 and all(0 <= key < 2**30 for key in keys)


def test_batches_of_one_kind_hold_every_example_equally_often():
  """Over as many batches as there are examples, each comes once for every row of a batch."""
  kinds = np.arange(30) % 3 == 0
  batches = [order_lib.batch_of_one_kind(step, 4, kinds, seed=5) for step in range(60)]
  assert all(len(set(kinds[batch])) == 1 for batch in batches)
  np.testing.assert_array_equal(np.bincount(np.concatenate(batches)), [8] * 30)
  turns = [bool(kinds[batch[0]]) for batch in batches]
  assert sum(turns) == 20 and all(1 <= sum(turns[i : i + 6]) <= 3 for i in range(54))
  assert set(np.concatenate(batches[:45])) == set(range(30))


def test_a_batch_of_one_kind_is_a_function_of_seed_and_step():
  kinds = np.arange(30) < 7
  batch = lambda step, seed: order_lib.batch_of_one_kind(step, 4, kinds, seed)  # noqa: E731
  np.testing.assert_array_equal(batch(1000, 1), batch(1000, 1))
  assert any((batch(step, 1) != batch(step, 2)).any() for step in range(3))
  assert set(order_lib.batch_of_one_kind(10**12, 4, kinds, 0)) <= set(range(30))


def test_of_one_kind_alone_the_order_is_that_of_all():
  for kinds in (np.zeros(10, bool), np.ones(10, bool)):
    batch = order_lib.batch_of_one_kind(7, 4, kinds, seed=3)
    np.testing.assert_array_equal(batch, order_lib.epoch_shuffle(28 + np.arange(4), 10, seed=3))
