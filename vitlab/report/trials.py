"""What a sweep's folder says about its trials: files are read, nothing is run."""

import contextlib
import json
import math
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from vitlab import workdir
from vitlab.errors import UserError
from vitlab.report.markup import plain

SWEEP, RESULTS = 'sweep.json', 'results.jsonl'
Number = int | float
DECADES = 1.5  # positive values that span more of them stand on a logarithmic axis


class Trial(NamedTuple):
  """A line of results.jsonl.

  Attributes:
    state: 'waiting', 'running', 'finished', 'failed' or 'pruned'.
    point: dotted key -> value.
    value: The metric of the sweep; None while there is none, or where it is not finite.
    folder: Of the sweep.
    path: The workdir, inside it.
  """

  number: int
  state: str
  point: Mapping[str, Any]
  value: Number | None
  steps: Number | None
  seconds: Number | None
  attempts: Number | None
  command: str
  error: str
  folder: pathlib.Path
  path: pathlib.Path


class Sweep(NamedTuple):
  """A folder of trials, the best one first (of equals the lowest number, as while it ran) and those
  without a value last.

  Attributes:
    name: Of the folder.
    goal: 'max' or 'min'.
    keys: In which the trials differ, as sweep.json has them, then others of their points; all of
      them where no two trials differ.
    log_keys: Those drawn from a logarithmic space.
  """

  name: str
  config: str
  metric: str
  goal: str
  keys: Sequence[str]
  log_keys: frozenset[str]
  trials: Sequence[Trial]

  @property
  def best(self) -> Trial | None:
    """The best finished one; before one has finished the best so far."""
    valued = [trial for trial in self.trials if trial.value is not None]
    return next((trial for trial in valued if trial.state == 'finished'), (valued or [None])[0])


class Axis(NamedTuple):
  """How the values of a key lie on a line.

  Attributes:
    name: The shortest end of the key that tells it from the other keys; 'optim.name', not 'name'.
    categories: Texts that stand apart evenly, where not all values are numbers.
  """

  name: str
  log: bool
  categories: list[str] | None

  def at(self, value: Any) -> Number | None:
    """A number, or the place of a category; None where the value is no number."""
    return finite(value) if self.categories is None else self.categories.index(plain(value))


class Group(NamedTuple):
  """Finished trials that differ in nothing but their seeds: the point, their values."""

  point: Mapping[str, Any]
  values: Sequence[Number]


def read(folder: str | pathlib.Path) -> Sweep:
  """Reads a sweep; lines that are broken are left out, of the lines of a trial the last counts.

  Raises:
    UserError: there is no readable sweep.json.
  """
  folder = pathlib.Path(folder)
  head = workdir.read_json(folder / SWEEP)
  if not isinstance(head, dict):
    raise UserError(f'no sweep in {str(folder)!r}: give a folder that has a {SWEEP}')
  goal = 'min' if head.get('goal') == 'min' else 'max'
  trials = _trials(folder)
  sign = 1 if goal == 'min' else -1
  trials.sort(key=lambda t: (t.value is None, sign * (t.value or 0), t.number))
  keys = [str(key) for key in head.get('keys') or ()]
  keys = list(dict.fromkeys([*keys, *(key for trial in trials for key in trial.point)]))
  differ = [key for key in keys if len({_text(trial, key) for trial in trials}) > 1]
  name, config, metric = folder.resolve().name, head.get('config', ''), head.get('metric', 'value')
  log_keys = frozenset(_log_keys(head.get('definition')))
  return Sweep(name, str(config), str(metric), goal, differ or keys, log_keys, trials)


def axes(sweep: Sweep) -> list[Axis]:
  """The axis of every key."""
  return [_axis(sweep, key) for key in sweep.keys]


def metric_axis(sweep: Sweep) -> Axis:
  """The axis of the metric."""
  values = [trial.value for trial in sweep.trials if trial.value is not None]
  return Axis(sweep.metric, _spans_decades(values), None)


def is_seed(key: str) -> bool:
  """Whether the values of a key are but repetitions."""
  return key.rpartition('.')[2] == 'seed'


def groups(sweep: Sweep) -> list[Group]:
  """Trials by what they have besides their seeds, the best mean first; none without seeds."""
  if not any(map(is_seed, sweep.keys)):
    return []
  found: dict[tuple[str, ...], Group] = {}
  for trial in sweep.trials:
    point = {key: trial.point.get(key) for key in sweep.keys if not is_seed(key)}
    group = found.setdefault(tuple(map(plain, point.values())), Group(point, []))
    if trial.value is not None and trial.state == 'finished':
      group.values.append(trial.value)
  sign = 1 if sweep.goal == 'min' else -1
  with_values = [group for group in found.values() if group.values]
  return sorted(with_values, key=lambda g: sign * sum(g.values) / len(g.values))


def finite(value: Any) -> Number | None:
  """A number that is one; a truth value, a text, NaN are not."""
  is_number = isinstance(value, int | float) and not isinstance(value, bool)
  return value if is_number and math.isfinite(value) else None


def _trials(folder: pathlib.Path) -> list[Trial]:
  try:
    lines = (folder / RESULTS).read_bytes().splitlines()
  except OSError:
    return []
  found = {}
  for line in lines:
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
      trial = _trial(folder, json.loads(line))
      found[trial.number] = trial
  return list(found.values())


def _trial(folder: pathlib.Path, row: Mapping[str, Any]) -> Trial:
  point = row.get('point')
  return Trial(
    number=int(row['trial']),
    state=str(row.get('state', '')),
    point=point if isinstance(point, dict) else {},
    value=finite(row.get('value')),
    steps=finite(row.get('steps')),
    seconds=finite(row.get('seconds')),
    attempts=finite(row.get('attempts')),
    command=str(row.get('command') or ''),
    error=str(row.get('error') or ''),
    folder=folder,
    path=folder / str(row.get('workdir') or f'trial_{int(row["trial"]):03}'),
  )


def _axis(sweep: Sweep, key: str) -> Axis:
  parts, others = key.split('.'), [other.split('.') for other in sweep.keys]
  depths = range(2 if parts[-1] == 'name' else 1, len(parts))
  depth = next((d for d in depths if sum(o[-d:] == parts[-d:] for o in others) == 1), len(parts))
  name = '.'.join(parts[-depth:])
  values = [t.point.get(key) for t in sorted(sweep.trials, key=lambda t: t.number)]
  numbers = [number for number in map(finite, values) if number is not None]
  if numbers and all(finite(value) is not None for value in values if value is not None):
    log = key in sweep.log_keys and min(numbers) > 0
    return Axis(name, log or _spans_decades(numbers), None)
  return Axis(name, False, list(dict.fromkeys(map(plain, values))))


def _spans_decades(values: Sequence[Number]) -> bool:
  return bool(values) and 0 < min(values) * 10**DECADES < max(values)


def _text(trial: Trial, key: str) -> str | None:
  return plain(trial.point[key]) if key in trial.point else None


def _log_keys(definition: Any) -> Iterable[str]:
  """The keys of all spaces {'kind': 'log_uniform', ...}, however deep they lie."""
  if isinstance(definition, dict):
    for key, value in definition.items():
      if isinstance(value, dict) and value.get('kind') == 'log_uniform':
        yield key
      yield from _log_keys(value)
  elif isinstance(definition, list):
    for value in definition:
      yield from _log_keys(value)
