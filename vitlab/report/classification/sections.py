"""The parts of a page about a classifier of images; an empty body: the run does not have it."""

from collections.abc import Mapping, Sequence
from typing import Any

from vitlab.report import paint
from vitlab.report.classification import figures, gallery
from vitlab.report.classification.figures import class_names
from vitlab.report.classification.pictures import Picture, Pictures
from vitlab.report.markup import Section, bar, breakable, figure, number, table
from vitlab.report.run import Run


def parts(run: Run, seen: Pictures | None) -> list[Section]:
  """Confusion, classes, calibration, mistakes, and what the model looks at."""
  return [
    *(part for name in run.details or [''] for part in _details(run, name)),
    _mistakes(run, seen),
    *gallery.parts(seen, class_names(run)),
  ]


def _details(run: Run, evaluator: str) -> list[Section]:
  arrays = run.details.get(evaluator, {})
  of = f' ({evaluator})' if len(run.details) > 1 else ''
  names = class_names(run)
  return [
    _confusion(f'Confusion{of}', figures.confusion(arrays, names)),
    _classes(f'Classes{of}', figures.classes(arrays, names), len(arrays.get('class_count', ()))),
    _calibration(f'Calibration{of}', figures.calibration(arrays)),
  ]


def _confusion(title: str, found: Mapping[str, Any] | None) -> Section:
  if found is None:
    return Section(title, 'no confusion matrix was stored', '')
  names, matrix = found['names'], ''
  note = f'{number(found["wrong"])} of {number(found["total"])} examples are wrong.'
  if found['counts']:
    matrix = figure('confusion', found)
    note += ' Rows are true classes, columns what the model said; colour is the share of the row.'
  rows = []
  for pair in found['pairs']:
    truth, said = breakable(names[pair['truth']]), breakable(names[pair['said']])
    rows.append(
      [
        f'{truth} <span class="soft">→</span> {said}',
        f'{number(pair["count"])} <span class="soft">of {number(pair["of"])}</span>',
      ]
    )
  head = ['Most confused: true → said', 'Examples']
  worst = table(head, rows, 'Most confused pairs of classes') if rows else ''
  return Section(title, note, f'<div class="beside">{matrix}{worst}</div>')


def _classes(title: str, found: Sequence[Mapping[str, Any]] | None, total: int) -> Section:
  if found is None:
    return Section(title, 'no accuracy by class was stored', '')
  rows = [
    [
      breakable(one['name']),
      bar(one['accuracy'], _percent(one['accuracy'])),
      bar(one['precision'], _percent(one['precision'])),
      number(one['support']),
    ]
    for one in found
  ]
  which = f'The {len(found)} weakest of {number(total)}. ' if len(found) < total else ''
  note = f'{which}Recall: how many of a class are found. Precision: how many that are said are.'
  body = table(['', 'Recall', 'Precision', 'Examples'], rows, 'Recall and precision by class')
  return Section(title, note, body)


def _calibration(title: str, bins: Mapping[str, Any] | None) -> Section:
  if bins is None:
    return Section(title, 'no calibration bins were stored', '')
  note = (
    'How often the model is right when it says how sure it is; on the diagonal it knows. '
    f'The mean gap, the expected calibration error, is {100 * bins["error"]:.2f} %.'
  )
  return Section(title, note, figure('calibration', bins))


def _percent(share: float | None) -> str:
  return '–' if share is None else f'{100 * share:.1f} %'


def _mistakes(run: Run, pictures: Pictures | None) -> Section:
  if pictures is None or not pictures.mistakes:
    reason = 'no images were collected' if pictures is None else 'the model made none'
    return Section('Mistakes', reason, '')
  cards = ''.join(
    _card(figures.picture(one, class_names(run), paint.TILE)) for one in pictures.mistakes
  )
  note = 'True → said: what the model got wrong, the surest first. The bar is its confidence.'
  return Section('Mistakes', note, f'<ul class="cards">{cards}</ul>')


def _card(one: Mapping[str, Any]) -> str:
  truth, said, share = breakable(one['truth']), breakable(one['said']), one['confidence']
  small = ' class="pixels"' if max(one['width'], one['height']) <= 64 else ''
  return (
    f'<li><img{small} src="{one["source"]}" width="{one["width"]}" height="{one["height"]}" '
    f'alt="test image {one["index"]}"><p>{truth} <span class="soft">→</span> <b>{said}</b></p>'
    f'<p>{bar(share, _percent(share))}</p></li>'
  )


def compared(runs: Sequence[Run], seen: Sequence[Pictures]) -> list[Section]:
  """The same images, seen by all runs."""
  looked = {run.name: found.attended for run, found in zip(runs, seen)}
  return [_same_images(looked, runs), gallery.distance(looked)]


def _same_images(looked: Mapping[str, Sequence[Picture]], runs: Sequence[Run]) -> Section:
  """A row for each image, a column for each run."""
  title = 'The same images'
  if not all(looked.values()) or not looked:
    return Section(title, 'no images that all runs were tested on were collected', '')
  names = class_names(runs[0])
  rows = []
  for same in zip(*looked.values()):
    truth = figures.picture(same[0], names)['truth']
    first = f'<div class="strip">{gallery.original(same[0], truth)}</div>'
    cells = [
      f'<div class="strip">{gallery.overlays(one)}</div>{gallery.verdict(one, names)}'
      for one in same
    ]
    rows.append([first, *cells])
  head = ['', *(f'<i class="key c{i % 8}"></i>{breakable(name)}' for i, name in enumerate(looked))]
  note = (
    'What each model makes of the same test images, and what that rests on; those on which they '
    f'differ come first. Below each image its true class. {gallery.LEGEND}'
  )
  return Section(title, note, f'<div class="same">{table(head, rows, title)}</div>')
