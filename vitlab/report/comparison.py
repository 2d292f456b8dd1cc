"""The parts of the page that sets several runs side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from vitlab import metrics, workdir
from vitlab.report import drawers
from vitlab.report.markup import (
  ABSENT,
  Section,
  breakable,
  duration,
  escape,
  plain,
  score,
  spaced,
  table,
)
from vitlab.report.run import Run
from vitlab.report.sections import curves, facts


def several(runs: Sequence[Run], seen: Sequence[Any] = ()) -> list[Section]:
  """The parts of a comparison.

  Args:
    runs: Their small files.
    seen: What the drawer of their kind of learning has collected, of each run; or nothing.
  """
  drawer = drawers.find(runs)
  own = drawer.compared(runs, seen) if drawer else []
  return [_results(runs), curves(runs), *own, _differences(runs), _provenance(runs)]


def summary(runs: Sequence[Run]) -> str:
  """The head of a comparison."""
  names = ', '.join(f'<strong>{escape(run.name)}</strong>' for run in runs)
  return f'<p class="lead">{names}, side by side.</p>'


def _results(runs: Sequence[Run]) -> Section:
  keys = metrics.ordered(key for run in runs for key in run.last if not key.startswith('time/'))
  columns = {key: [run.last.get(key) for run in runs] for key in keys}
  columns |= {
    key: [run.result.get(key) for run in runs]
    for key in ('seconds', 'examples_per_second')
    if any(key in run.result for run in runs)
  }
  rows = [
    [
      f'<i class="key c{place % 8}"></i>{breakable(run.name)}',
      *(_compared(key, values, place) for key, values in columns.items()),
    ]
    for place, run in enumerate(runs)
  ]
  head = ['', *(escape(spaced(key)) for key in columns)]
  note = 'The last values of each run; the best of a column is bold.'
  return Section('Results', note, table(head, rows, 'Final metrics by run'))


def _compared(key: str, values: Sequence[Any], place: int) -> str:
  value, finite = values[place], [v for v in values if isinstance(v, int | float)]
  if not isinstance(value, int | float):
    return ABSENT
  text = escape(duration(value) if key == 'seconds' else score(key, value))
  best = (min if metrics.smaller_is_better(key) else max)(finite)
  wins = value == best and len(set(finite)) > 1 and not key.startswith('train/')
  return f'<b>{text}</b>' if wins else text


def _differences(runs: Sequence[Run]) -> Section:
  configs = [workdir.flatten(run.config) for run in runs]
  keys = dict.fromkeys(key for config in configs for key in config)
  rows = [
    [f'<code>{escape(key)}</code>', *values]
    for key in keys
    if len(set(values := [_value(config, key) for config in configs])) > 1
  ]
  if not rows:
    return Section('Differences', 'the configs are equal', '')
  head = ['', *(escape(run.name) for run in runs)]
  note = f'{len(rows)} of {len(keys)} config keys differ.'
  return Section('Differences', note, table(head, rows, 'Config keys that differ'))


def _value(leaves: Mapping[str, Any], key: str) -> str:
  return f'<code>{escape(plain(leaves[key]))}</code>' if key in leaves else ABSENT


def _provenance(runs: Sequence[Run]) -> Section:
  found = [facts(run) for run in runs]
  keys = dict.fromkeys(key for one in found for key in one)
  rows = [[f'<code>{escape(k)}</code>', *(_value(one, k) for one in found)] for k in keys]
  body = table(['', *(escape(run.name) for run in runs)], rows, 'Provenance') if rows else ''
  note = 'Where each run comes from.' if rows else 'no result.json yet'
  return Section('Provenance', note, body)
