"""How near samples are to real pictures: every number beside what it depends on."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vitlab.report.confusion import named, percent
from vitlab.report.figures import finite, thin
from vitlab.report.markup import (
  ABSENT,
  Section,
  bar,
  breakable,
  escape,
  figure,
  number,
  score,
  table,
)
from vitlab.report.run import Run

NOT_MEASURED = 'no evaluator has compared samples with real pictures'
FLOOR = 'real against real'
CHARTS = (  # name; metric -> what its line is called
  ('Fréchet distance', dict(frechet='samples', frechet_floor=FLOOR)),
  ('KID', dict(kid='samples', kid_floor=FLOOR)),
  ('precision and recall', dict(precision='precision', recall='recall')),
  ('recognised', dict(recognised='recognised')),
)


class Measured(NamedTuple):
  """What an evaluator of samples has found at last.

  Attributes:
    run: Name of the run.
    evaluator: Its name.
    metrics: Metric -> value, as the run has it last.
    details: Its arrays.
  """

  run: str
  evaluator: str
  metrics: Mapping[str, Any]
  details: Mapping[str, np.ndarray]


def measured(runs: Sequence[Run]) -> Iterator[Measured]:
  """All evaluators of samples, run by run."""
  for run in runs:
    for name, details in run.details.items():
      if 'floor_count' in details:
        start = f'{name}/'
        last = {key.removeprefix(start): x for key, x in run.last.items() if key.startswith(start)}
        yield Measured(run.name, name, last, details)


def distances(runs: Sequence[Run]) -> Section:
  """A column for each evaluator of each run."""
  title, found = 'Distances', list(measured(runs))
  if not found:
    return Section(title, NOT_MEASURED, '')
  columns = [dict(_cells(one)) for one in found]
  rows = [
    [escape(name), *(column.get(name, ABSENT) for column in columns)]
    for name in dict.fromkeys(name for column in columns for name in column)
  ]
  both = len(runs) > 1
  head = [
    '',
    *(breakable(f'{one.run}: {one.evaluator}' if both else one.evaluator) for one in found),
  ]
  warnings = dict.fromkeys(
    text for one in found for text in _signatures(one) if text.startswith('warning')
  )
  body = table(head, rows, title) + ''.join(f'<p>{escape(text)}</p>' for text in warnings)
  note = (
    'How far samples are from real pictures, and, as no number means anything alone, how far real '
    'pictures are from others: what a perfect generator would reach.'
  )
  return Section(title, note, f'<div class="numbers">{body}</div>')


def over_training(run: Run) -> Section:
  """Every distance against steps, the floor as a line of its own."""
  title, charts = 'Distances over training', []
  evaluators = [name for name, details in run.details.items() if 'floor_count' in details]
  for chart, lines in CHARTS:
    series = []
    for evaluator in evaluators:
      for metric, name in lines.items():
        words = f'{evaluator}: {name}' if len(evaluators) > 1 else name
        series += line(run, f'{evaluator}/{metric}', words)
    charts += [dict(metric=chart, series=series)] if series else []
  note = 'How near the samples come to real pictures; the lower line is how near real ones are.'
  body = figure('curves', dict(runs=[run.name], charts=charts)) if charts else ''
  return Section(title, note if charts else NOT_MEASURED, body)


def recognised(run: Run, names: Sequence[str]) -> Section:
  """The share of each class that the encoder takes for that class, and what it takes others for."""
  title = 'Recognised'
  found = next((one for one in measured([run]) if 'recognised_by_class' in one.details), None)
  if found is None:
    return Section(title, 'no encoder that tells classes apart has looked at the samples', '')
  shares, confusion = (found.details[f'recognised_{key}'] for key in ('by_class', 'confusion'))
  names, rows = named(names, len(shares)), []
  for place, share in enumerate(shares.tolist()):
    others = np.where(np.arange(len(shares)) == place, 0, confusion[place])
    worst = int(others.argmax())
    taken = f'{breakable(names[worst])} ({number(int(others[worst]))})' if others.any() else ABSENT
    share = finite(share)
    rows.append([breakable(names[place]), bar(share, percent(share)), taken])
  note = (
    'Samples that the encoder takes for what they were asked to be, and what it takes others for.'
  )
  return Section(title, note, table(['class', 'recognised', 'else taken for'], rows, title))


def _cells(one: Measured) -> Iterator[tuple[str, str]]:
  """What stands in a column, by row."""
  metrics, details = one.metrics, {name: x for name, x in one.details.items() if x.ndim == 0}

  def value(name: str) -> str:
    return escape(score(name, metrics[name])) if name in metrics else ABSENT

  yield 'Fréchet distance', f'<b>{value("frechet")}</b>'
  yield f'Fréchet distance, {FLOOR}', value('frechet_floor')
  several = int(details['kid_subsets']) > 1
  spread = f' ± {number(float(details["kid_std"]))}' if several else ''
  yield 'KID', f'<b>{value("kid")}</b>{spread}'
  yield f'KID, {FLOOR}', value('kid_floor')
  for name in ('precision', 'recall'):
    yield name, f'<b>{value(name)}</b>'
    yield f'{name}, {FLOOR}', escape(score(name, float(details[f'real_{name}'])))
  if 'recognised' in metrics:
    yield 'recognised', f'<b>{value("recognised")}</b>'
  yield 'encoder', breakable(str(details['encoder']))
  yield 'features', number(int(details['width']))
  yield 'pictures', number(int(details['count']))
  yield 'split', breakable(str(details['split']))
  each = number(int(details['floor_count']))
  yield f'{FLOOR}: splits', f'{breakable(str(details["floor"]))}, {each} each'
  yield 'resize', breakable(str(details['resize']))
  subsets = (number(int(details[f'kid_{name}'])) for name in ('subsets', 'subset_size'))
  yield 'subsets of KID', ' × '.join(subsets)


def _signatures(one: Measured) -> list[str]:
  return [str(text) for text in np.atleast_1d(one.details.get('signatures', ()))]


def line(run: Run, key: str, name: str) -> list[dict[str, Any]]:
  """A line of a chart; none where the run has no such metric."""
  points = [(row['step'], row[key]) for row in run.rows if key in row]
  return [dict(run=0, evaluator=name, **thin(points))] if points else []
