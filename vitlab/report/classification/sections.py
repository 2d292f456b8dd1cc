"""The parts of a page about a classifier of images; an empty body: the run does not have it."""

from collections.abc import Mapping, Sequence
from typing import Any

from vitlab.report import confusion, paint
from vitlab.report.classification import figures, gallery
from vitlab.report.classification.figures import class_names
from vitlab.report.classification.pictures import Picture, Pictures
from vitlab.report.markup import Section, bar, breakable, table
from vitlab.report.run import Run


def parts(run: Run, seen: Pictures | None) -> list[Section]:
  """Confusion, classes, calibration, mistakes, and what the model looks at."""
  return [
    *confusion.parts(run, class_names(run)),
    _mistakes(run, seen),
    *gallery.parts(seen, class_names(run)),
  ]


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
    f'<p>{bar(share, confusion.percent(share))}</p></li>'
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
