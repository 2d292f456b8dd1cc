"""What a run says of guesses that take no training: those in `baselines` of its result.json.

There, metric -> name of a guess -> what it reaches, on the splits of the run:

  {'test/accuracy': {'nearest_neighbours': 0.8187, 'majority': 0.1}}
"""

from collections.abc import Iterator, Mapping
from typing import Any

from vitlab import metrics

_SAID = {'nearest_neighbours': 'nearest neighbours', 'majority': 'majority'}


def line(result: Mapping[str, Any]) -> str:
  """'baseline: nearest neighbours 81.87 %, majority 10.00 %'; '' where nothing was measured."""
  found = [_numbers(metric, guesses) for metric, guesses in _measured(result)]
  return f'baseline: {"; ".join(found)}' if found else ''


def below(result: Mapping[str, Any]) -> str:
  """Says of the first metric that is below a guess that it is so; '' where none is."""
  for metric, guesses in _measured(result):
    reached = (result.get('metrics') or {}).get(metric)
    better = {name: x for name, x in guesses.items() if reached is not None and reached < x}
    if better:
      said = metrics.percent(metric, reached) or f'{reached:.4g}'
      return (
        f'{metric} {said} is below what takes no training: {_numbers(metric, better)}'
        '; a longer run or another augmentation may help'
      )
  return ''


def _measured(result: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, float]]]:
  return ((metric, guesses) for metric, guesses in (result.get('baselines') or {}).items())


def _numbers(metric: str, guesses: Mapping[str, float]) -> str:
  return ', '.join(
    f'{_SAID.get(name, name)} {metrics.percent(metric, x) or f"{x:.4g}"}'
    for name, x in guesses.items()
  )
