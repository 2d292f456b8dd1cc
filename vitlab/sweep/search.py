"""Spaces to search in, and random search.

  def sweep(add):
    return search(
      {'optim.learning_rate': log_uniform(1e-4, 1e-2), 'batch_size': choice(32, 64)}, trials=20
    )

Random search (Bergstra and Bengio, 2012) is a pure function of the seed and the number of a trial:
a point does not depend on how many there are, nor on what the others found. TPE and pruning are in
`vitlab.sweep.tuner`.
"""

import math
import random
from collections.abc import Mapping
from typing import Any, NamedTuple

from vitlab.errors import UserError, unknown
from vitlab.sweep.points import Point

METHODS = ('random', 'tpe')
PRUNERS = ('asha', 'hyperband')
GOALS = ('max', 'min')


class Space(NamedTuple):
  """The values that a key may have.

  Attributes:
    kind: 'uniform', 'log_uniform', 'integer' or 'choice'.
    low: The least value, if it is a number; it can be drawn.
    high: The largest.
    values: What can be chosen.
  """

  kind: str
  low: float | int = 0
  high: float | int = 0
  values: tuple[Any, ...] = ()

  def at(self, share: float) -> Any:
    """The value below which this share, in [0, 1), of the space lies."""
    if self.kind == 'choice':
      return self.values[int(share * len(self.values))]
    if self.kind == 'integer':
      return self.low + int(share * (self.high - self.low + 1))
    if self.kind == 'log_uniform':
      return self.tidy(self.low * (self.high / self.low) ** share)
    return self.tidy(self.low + share * (self.high - self.low))

  def tidy(self, value: Any) -> Any:
    """A number with four digits: commands stay readable, and no result hangs on the fifth."""
    if self.kind not in ('uniform', 'log_uniform'):
      return value
    return min(max(float(f'{value:.4g}'), self.low), self.high)

  def to_json(self) -> dict[str, Any]:
    """As it stands in sweep.json."""
    if self.kind == 'choice':
      return dict(kind=self.kind, values=list(self.values))
    return dict(kind=self.kind, low=self.low, high=self.high)


def uniform(low: float | int, high: float | int) -> Space:
  """Numbers, all equally likely."""
  return _between('uniform', float(low), float(high))


def log_uniform(low: float | int, high: float | int) -> Space:
  """Positive numbers whose logarithms are equally likely: learning rates, weight decays."""
  if low <= 0:
    raise UserError(f'sweep: log_uniform({low}, {high}) must begin above 0')
  return _between('log_uniform', float(low), float(high))


def integer(low: int, high: int) -> Space:
  """Whole numbers, both ends included, all equally likely."""
  return _between('integer', low, high)


def choice(*values: Any) -> Space:
  """One of the values, all equally likely."""
  if not values:
    raise UserError('sweep: choice() needs the values to choose from')
  return Space('choice', values=values)


class Search(NamedTuple):
  """What `search` was given, checked.

  Attributes:
    spaces: Dotted key of the config -> where its values lie.
    trials: How many points are tried.
    method: One of `METHODS`.
    metric: What counts; None is the config's `checkpoint.best`.
    goal: One of `GOALS`; None is the config's `checkpoint.best_mode`.
    pruner: One of `PRUNERS`, or None: every trial goes to its end.
    seed: Of the points.
  """

  spaces: Mapping[str, Space]
  trials: int
  method: str
  metric: str | None
  goal: str | None
  pruner: str | None
  seed: int

  def to_json(self) -> dict[str, Any]:
    """As it stands in sweep.json."""
    spaces = {key: space.to_json() for key, space in self.spaces.items()}
    return {**self._asdict(), 'spaces': spaces}


def search(
  spaces: Mapping[str, Any],
  trials: int,
  method: str = 'random',
  metric: str | None = None,
  goal: str | None = None,
  pruner: str | None = None,
  seed: int = 0,
) -> Search:
  """What `sweep(add)` returns to search; see `Search`.

  Raises:
    UserError: an argument is none of those possible.
  """
  if not spaces or not all(isinstance(space, Space) for space in spaces.values()):
    kinds = 'uniform, log_uniform, integer or choice'
    raise UserError(f'sweep: search needs a space for each of its keys: {kinds}')
  if trials < 1:
    raise UserError(f'sweep: trials={trials}: at least 1')
  for name, given, possible in (
    ('method', method, METHODS),
    ('goal', goal, (*GOALS, None)),
    ('pruner', pruner, (*PRUNERS, None)),
  ):
    if given not in possible:
      raise unknown(f'{name} of a search', str(given), map(str, possible))
  return Search(dict(spaces), trials, method, metric, goal, pruner, seed)


def draw(spaces: Mapping[str, Space], seed: int, number: int) -> Point:
  """The point of trial `number` of a random search; that of a key does not depend on the others."""
  shares = {key: random.Random(f'{seed}/{number}/{key}').random() for key in spaces}
  return {key: space.at(shares[key]) for key, space in spaces.items()}


def _between(kind: str, low: float | int, high: float | int) -> Space:
  if not (math.isfinite(low) and math.isfinite(high) and low < high):
    raise UserError(f'sweep: {kind}({low}, {high}) needs two numbers, the smaller one first')
  return Space(kind, low, high)
