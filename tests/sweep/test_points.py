"""Lists of points: how many, which, and in which order."""

import pytest

from vitlab.errors import UserError
from vitlab.sweep.points import product, seeds, together


def test_a_product_holds_every_combination_once_and_the_last_factor_changes_first():
  points = product({'a': [1, 2], 'b': [3, 4]}, seeds(2))
  assert [tuple(point.values()) for point in points] == [
    (a, b, seed) for a in (1, 2) for b in (3, 4) for seed in (0, 1)
  ]
  assert all(list(point) == ['a', 'b', 'seed'] for point in points)


def test_lists_are_factors_and_are_added():
  points = product(together({'a': [1, 2], 'b': [3, 4]}) + [{'a': 5}], {'c': 'xy'})
  assert points == [
    {'a': 1, 'b': 3, 'c': 'x'},
    {'a': 1, 'b': 3, 'c': 'y'},
    {'a': 2, 'b': 4, 'c': 'x'},
    {'a': 2, 'b': 4, 'c': 'y'},
    {'a': 5, 'c': 'x'},
    {'a': 5, 'c': 'y'},
  ]
  assert product() == [{}]


def test_a_key_that_two_factors_set_is_named():
  with pytest.raises(UserError, match='set seed: only one may'):
    product({'a': [1], 'seed': [0]}, seeds(2))


def test_values_that_change_together_are_equally_many():
  with pytest.raises(UserError, match='equally many, not 2 of a, 3 of b'):
    together({'a': [1, 2], 'b': [1, 2, 3]})
