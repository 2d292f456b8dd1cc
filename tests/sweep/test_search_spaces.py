"""Spaces and random search: what is drawn, and on what it depends."""

import math

import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.sweep.search import choice, draw, integer, log_uniform, search, uniform

SPACES = {
  'rate': log_uniform(1e-4, 1e-1),
  'decay': uniform(-1, 3),
  'depth': integer(2, 5),
  'name': choice('adam', 'lion', 'sgd'),
}


def column(key, count=4000):
  return [draw(SPACES, 7, number)[key] for number in range(count)]


def test_a_point_is_a_function_of_seed_and_number_alone():
  points = [draw(SPACES, 0, number) for number in range(50)]
  assert [draw(SPACES, 0, number) for number in reversed(range(50))] == points[::-1]
  assert len({tuple(point.values()) for point in points}) == 50
  assert draw(SPACES, 1, 0) != points[0]
  # Another key beside it, in whatever order, moves nothing.
  more = {'other': uniform(0, 1), **dict(reversed(SPACES.items()))}
  assert {key: draw(more, 0, 3)[key] for key in SPACES} == points[3]


def test_the_numbers_do_not_change_between_versions():
  assert draw(SPACES, 0, 0) == {'rate': 0.003525, 'decay': 1.169, 'depth': 2, 'name': 'sgd'}


def test_spaces_are_filled_evenly():
  shares = np.array([math.log10(rate) for rate in column('rate')])
  assert np.allclose(np.quantile(shares, [0.25, 0.5, 0.75]), [-3.25, -2.5, -1.75], atol=0.1)
  assert np.allclose(np.quantile(column('decay'), [0.25, 0.5, 0.75]), [0, 1, 2], atol=0.15)
  for key, values in {'depth': [2, 3, 4, 5], 'name': ['adam', 'lion', 'sgd']}.items():
    counts = [column(key).count(value) for value in values]
    assert sum(counts) == 4000
    assert max(counts) - min(counts) < 300


def test_the_ends_are_kept_and_numbers_are_short():
  space = log_uniform(1.23456e-4, 9.87654e-4)
  values = [space.at(share) for share in (0.0, *np.random.default_rng(0).random(200), 1 - 1e-12)]
  assert space.low <= min(values) and max(values) == space.high
  assert all(len(f'{value:.4g}') >= len(f'{value:.9g}') for value in values[1:-1])
  assert [integer(2, 5).at(share) for share in (0.0, 0.999)] == [2, 5]


@pytest.mark.parametrize(
  'wrong, says',
  [
    (lambda: log_uniform(0, 1), 'must begin above 0'),
    (lambda: uniform(2, 1), 'the smaller one first'),
    (lambda: uniform(0, math.inf), 'the smaller one first'),
    (lambda: choice(), 'needs the values'),
    (lambda: search({}, 3), 'a space for each'),
    (lambda: search({'a': 3}, 3), 'a space for each'),
    (lambda: search(SPACES, 0), 'at least 1'),
    (lambda: search(SPACES, 3, method='grid'), "unknown method of a search 'grid'"),
    (lambda: search(SPACES, 3, method='tpe', pruner='asah'), 'did you mean asha'),
    (lambda: search(SPACES, 3, goal='maximum'), 'max'),
  ],
)
def test_what_cannot_be_searched_is_said(wrong, says):
  with pytest.raises(UserError, match=says):
    wrong()
