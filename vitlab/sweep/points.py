"""Lists of points. A point gives keys of the config their values: {'optim.learning_rate': 1e-3}.

  product({'optim.learning_rate': [1e-3, 3e-3], 'batch_size': [32, 64]}, seeds(3))    12 points
  together({'model.width': [64, 128], 'model.depth': [2, 4]})                         2, not 4

Two lists added are one after the other.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from vitlab.errors import UserError

Point = dict[str, Any]
# Values to try of each key; stands for the product of them.
Values = Mapping[str, Sequence[Any]]


def product(*factors: Values | Sequence[Point]) -> list[Point]:
  """Every combination of a point of each factor; the last factor changes first.

  Args:
    factors: Lists of points, or key -> values for every combination of those.

  Raises:
    UserError: two factors set the same key.
  """
  lists: list[Sequence[Point]] = []
  for factor in factors:
    if isinstance(factor, Mapping):
      lists += [together({key: values}) for key, values in factor.items()]
    else:
      lists.append(factor)
  points = []
  for parts in itertools.product(*lists):
    keys = [key for part in parts for key in part]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
      raise UserError(f'sweep: two factors of a product set {", ".join(twice)}: only one may')
    points.append({key: value for part in parts for key, value in part.items()})
  return points


def together(values: Values) -> list[Point]:
  """The first value of every key, then the second one of every key, and so on.

  Raises:
    UserError: the keys do not have equally many values.
  """
  counts = {key: len(each) for key, each in values.items()}
  if len(set(counts.values())) > 1:
    shown = ', '.join(f'{count} of {key}' for key, count in counts.items())
    raise UserError(f'sweep: values that change together must be equally many, not {shown}')
  return [dict(zip(values, row)) for row in zip(*values.values())]


def seeds(count: int) -> list[Point]:
  """The same run with the seeds 0, 1, ..., count - 1."""
  return together({'seed': range(count)})
