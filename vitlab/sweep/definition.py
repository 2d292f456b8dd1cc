"""What is swept: what `sweep(add)` of a config file says, checked before anything starts.

  def sweep(add):                                 # beside get_config, or in --sweep=file.py
    for point in product({'optim.learning_rate': [1e-3, 3e-3]}, seeds(3)):
      add(point)

It adds points, or returns `vitlab.sweep.search.search(...)`. A point that is added twice is one
trial: a run is a function of its config.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from vitlab import registry, workdir
from vitlab.cli import config_file
from vitlab.errors import UserError, unknown
from vitlab.metrics import smaller_is_better
from vitlab.sweep.points import Point
from vitlab.sweep.search import Search, Space, draw

FILE = 'sweep.json'


class Definition(NamedTuple):
  """A sweep.

  Attributes:
    config: As in --config.
    overrides: Changes to it that hold for all trials: '--config.a.b=value'.
    base: The config with these; without keys that may change between the sessions of a run.
    metric: What counts, for example test/accuracy.
    goal: 'max' or 'min'.
    points: Of the trials; empty where each is asked for when its time has come.
    search: What was returned, if not points.
  """

  config: str
  overrides: Sequence[str]
  base: Mapping[str, Any]
  metric: str
  goal: str
  points: Sequence[Point]
  search: Search | None

  @property
  def keys(self) -> list[str]:
    """What is swept, in the order in which it was named."""
    points = [self.search.spaces] if self.search else self.points
    return list(dict.fromkeys(key for point in points for key in point))

  @property
  def trials(self) -> int:
    return self.search.trials if self.search else len(self.points)

  def to_json(self) -> dict[str, Any]:
    """The contents of sweep.json."""
    what = {'search': self.search.to_json()} if self.search else {'points': self.points}
    shared = {key: getattr(self, key) for key in ('config', 'metric', 'goal', 'keys')}
    return json.loads(json.dumps({**shared, 'definition': what, 'base': self.base}))

  def better(self, value: float, than: float | None) -> bool:
    """Whether a value of the metric beats another one: of equal trials the first stays the best."""
    if than is None:
      return True
    return value > than if self.goal == 'max' else value < than


def read(
  config: ConfigDict, spec: str, overrides: Sequence[str] = (), file: str = ''
) -> Definition:
  """The sweep of a config.

  Args:
    config: With the changes.
    spec: As in --config.
    overrides: The changes.
    file: The one with `sweep(add)`, if not that of the config.

  Raises:
    UserError: it cannot be read or has no `sweep`; a key or a value does not fit the config.
  """
  points: list[Any] = []
  search = config_file.call(file or spec.partition(':')[0], 'sweep', points.append)
  if isinstance(search, Search):
    if points:
      raise UserError('sweep(add) adds points and returns a search: it may do only one of them')
    _check_spaces(config, search.spaces)
    random = search.method == 'random'
    numbers = range(search.trials if random else 0)
    points = [draw(search.spaces, search.seed, number) for number in numbers]
  elif search is not None:
    raise UserError(
      f'sweep(add) returns {type(search).__name__}: a search, or nothing, is possible'
    )
  elif not points:
    raise UserError("sweep(add) adds no point: call add({'optim.learning_rate': 1e-3}) for each")
  else:
    points = [_checked(config, point) for point in points]
    points = [point for n, point in enumerate(points) if point not in points[:n]]
  metric, goal = _aim(config, search)
  stored = workdir.to_json(config).items()
  base = {key: value for key, value in stored if key not in workdir.FREE_KEYS}
  return Definition(spec, list(overrides), base, metric, goal, points, search)


def keep(definition: Definition, folder: pathlib.Path) -> None:
  """Writes sweep.json, or compares it.

  Raises:
    UserError: another sweep, or a run, lives in the folder.
  """
  if (folder / workdir.CONFIG).exists():
    raise UserError(f'workdir {str(folder)!r} holds a run, not a sweep: choose another --workdir')
  stored, new = workdir.read_json(folder / FILE), definition.to_json()
  if stored is None:
    workdir.write_json(folder / FILE, new)
    return
  changed = workdir.differences(_numbered(stored), _numbered(new))
  if changed:
    shown = ', '.join(f'{key} {_short(old)} -> {_short(now)}' for key, old, now in changed[:4])
    more = f', and {len(changed) - 4} more' if len(changed) > 4 else ''
    raise UserError(
      f'workdir {str(folder)!r} holds another sweep (there -> now): {shown}{more}'
      '\nto continue that one sweep as it did; to start this one choose another --workdir,'
      f'\nor delete it first: rm -r {folder}'
    )


def flags(point: Mapping[str, Any]) -> list[str]:
  """A point as changes on a command line."""
  return [f'--config.{key}={_text(value)}' for key, value in point.items()]


def _checked(config: ConfigDict, point: Any) -> Point:
  """The point as the config holds it: lists are tuples, whole numbers floats where those belong.

  Raises:
    UserError: as `config_file.override`.
  """
  if not isinstance(point, Mapping) or not point:
    raise UserError(f'add({point!r}): a point is a dict, {{"optim.learning_rate": 1e-3}}')
  point = {key: _plain(value) for key, value in point.items()}
  changed = config.copy_and_resolve_references()
  config_file.override(changed, flags(point))
  found = {key: _at(changed, key) for key in point}
  for key, value in found.items():
    if value != point[key]:
      expected = f'a value of type {type(value).__name__}, as the default {_at(config, key)!r}'
      raise UserError(f'--config.{key}={point[key]!r}: expected {expected}')
  return found


def _check_spaces(config: ConfigDict, spaces: Mapping[str, Space]) -> None:
  for key, space in spaces.items():
    for value in space.values or (space.low, space.high):
      _checked(config, {key: value})


def _aim(config: ConfigDict, search: Search | None) -> tuple[str, str]:
  """The metric that counts and its goal."""
  best, mode = config.checkpoint.best, config.checkpoint.best_mode
  metric = (search and search.metric) or best or _quoted(config)
  possible = ['train', *config.evaluators]
  if metric.partition('/')[0] not in possible:
    raise unknown('metric of a sweep', metric, [f'{name}/...' for name in possible])
  default = mode if metric == best else 'min' if smaller_is_better(metric) else 'max'
  return metric, (search and search.goal) or default


def _quoted(config: ConfigDict) -> str:
  """What the first evaluator that has a leading metric is quoted by."""
  for name, spec in config.evaluators.items():
    if metric := getattr(registry.module('evaluators', spec.name), 'LEADS', ''):
      return f'{name}/{metric}'
  return 'train/loss'


def _plain(value: Any) -> Any:
  """Without NumPy's scalars and without lists, which no config holds."""
  value = value.item() if hasattr(value, 'item') else value
  return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def _text(value: Any) -> str:
  return value if isinstance(value, str) else repr(value)


def _at(config: ConfigDict, key: str) -> Any:
  node: Any = config
  for part in key.split('.'):
    node = node[part]
  return node


def _numbered(stored: Mapping[str, Any]) -> dict[str, Any]:
  """sweep.json with a key for every point: only those that differ are to be named."""
  what = dict(stored.get('definition', {}))
  if 'points' in what:
    what['points'] = {str(n): point for n, point in enumerate(what['points'])}
  return {**stored, 'definition': what}


def _short(value: Any) -> str:
  text = json.dumps(value)
  return text if len(text) <= 40 else text[:37] + '...'
