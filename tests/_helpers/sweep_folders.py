"""Folders of sweeps as the controller leaves them, made up, for the tests of the page."""

import itertools
import json
import pathlib
from typing import Any

from _helpers import workdirs

HEAD = {
  'config': 'configs/vit_digits.py:smoke',
  'metric': 'test/accuracy',
  'goal': 'max',
  'keys': ['optim.learning_rate', 'model.width', 'seed'],
  'definition': {},
}
POINTS = [
  {'optim.learning_rate': rate, 'model.width': width, 'seed': seed}
  for rate, width, seed in itertools.product((1e-4, 1e-3, 1e-2), (48, 96), (0, 1))
]


def trial(number: int, point: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
  """A line of results.jsonl: a finished trial that reached 0.8 + its number / 100."""
  point = POINTS[number] if point is None else point
  value = (80 + number) / 100
  flags = ' '.join(f'--config.{key}={value}' for key, value in point.items())
  return {
    'trial': number,
    'state': 'finished',
    'point': point,
    'workdir': f'trial_{number:03}',
    'command': f'python launch.py --config=configs/vit_digits.py:smoke {flags}',
    'metrics': {'test/accuracy': value, 'train/loss': 0.3},
    'value': value,
    'steps': 560,
    'seconds': 61.5,
    'attempts': 1,
    'error': None,
  } | changes


def without_value(number: int, state: str, **changes: Any) -> dict[str, Any]:
  """A trial that has reached nothing, or nothing yet."""
  empty = {'state': state, 'metrics': {}, 'value': None, 'steps': None, 'seconds': None}
  return trial(number, **(empty | changes))


def write(
  folder: pathlib.Path, trials: list[dict[str, Any]], *, curves: bool = True, **head: Any
) -> pathlib.Path:
  """A folder of these trials; those that have begun have curves, those that finished a report."""
  folder.mkdir(parents=True)
  (folder / 'sweep.json').write_text(json.dumps(HEAD | head))
  (folder / 'results.jsonl').write_text(''.join(json.dumps(one) + '\n' for one in trials))
  for one in trials:
    if curves and one['state'] != 'waiting':
      path = folder / one['workdir']
      path.mkdir(parents=True)
      rows = workdirs.metrics(steps=80, seed=one['trial'])
      (path / 'metrics.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
      if one['state'] == 'finished':
        (path / 'report.html').write_text('<!doctype html>')
  return folder
