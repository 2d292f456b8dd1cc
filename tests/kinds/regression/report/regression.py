"""Which pictures' angles are hard to tell, and how large the errors are."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vitlab.report.markup import Section, bar, breakable, figure, table
from vitlab.report.run import Run

SCRIPTS = ('errors.js',)
EDGES = (0, 5, 10, 20, 45, 90, 180.001)


def parts(run: Run, seen: Any = None) -> list[Section]:
  """Errors by class, and their histogram."""
  del seen
  return _sections([run])


def compared(runs: Sequence[Run], seen: Sequence[Any] = ()) -> list[Section]:
  del seen
  return _sections(runs)


def _sections(runs: Sequence[Run]) -> list[Section]:
  found = [
    (f'{run.name} {name}' if len(runs) > 1 or len(run.details) > 1 else name, run.facts, arrays)
    for run in runs
    for name, arrays in run.details.items()
    if 'errors' in arrays
  ]
  if not found:
    return [Section('Error by class', 'no errors were stored', '')]
  return [_by_class(found), _histogram(found)]


def _by_class(found) -> Section:
  names = found[0][1]['class_names']
  rows = []
  for label, name in enumerate(names):
    means = [np.abs(arrays['errors'][arrays['labels'] == label]).mean() for _, _, arrays in found]
    rows.append([breakable(name), *(bar(float(mean) / 45, f'{mean:.1f}°') for mean in means)])
  head = ['', *(breakable(name) for name, *_ in found)]
  note = 'The mean absolute error of each class in degrees; a full bar is 45°.'
  return Section('Error by class', note, table(head, rows, 'Error by class'))


def _histogram(found) -> Section:
  rows = []
  shares = [
    np.histogram(np.abs(arrays['errors']), EDGES)[0] / len(arrays['errors'])
    for _, _, arrays in found
  ]
  for i, (low, high) in enumerate(zip(EDGES, EDGES[1:])):
    cells = [bar(share[i], f'{share[i]:.1%}') for share in shares]
    rows.append([f'{low:.0f}° to {high:.0f}°', *cells])
  head = ['', *(breakable(name) for name, *_ in found)]
  note = 'How many of the test pictures have an error of this size.'
  data = [dict(name=name, shares=share.tolist()) for (name, *_), share in zip(found, shares)]
  return Section('Sizes of errors', note, figure('errors', data) + table(head, rows, 'Sizes'))
