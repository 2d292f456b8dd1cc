"""The parts of a page about a generator; an empty body means that the run does not have it."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import UInt8

from vitlab.report import paint
from vitlab.report.figures import finite
from vitlab.report.gan import distances
from vitlab.report.gan.between import Between
from vitlab.report.gan.collected import POINTS, Drawn, Looks
from vitlab.report.gan.norms import Norm
from vitlab.report.markup import Section, bar, breakable, figure, number, table
from vitlab.report.run import Run

LEGEND = '<span class="legend">least <i></i> most</span>'
NO_CHECKPOINT = 'no checkpoint at hand'
TILE = 128  # pixels of a picture among many
CHARTS = (  # name; metric -> what its line is called
  ('loss', dict(discriminator_loss='discriminator', generator_loss='generator')),
  ('score', dict(discriminator_real='real', discriminator_fake='generated')),
  ('squared slope', dict(discriminator_r1='at real', discriminator_r2='at generated')),
)


def parts(run: Run, seen: Drawn | None) -> list[Section]:
  """What is drawn, how near it is to what is real, and what it rests on."""
  names = [str(name) for name in run.facts.get('class_names') or ()]
  return [
    _samples(seen),
    _earlier(seen),
    _between(seen),
    _near(seen),
    _looks(seen),
    _losses(run),
    distances.over_training(run),
    distances.distances([run]),
    distances.recognised(run, names),
    _norms(seen),
  ]


def compared(runs: Sequence[Run], seen: Sequence[Drawn] = ()) -> list[Section]:
  """The samples of all runs, and their distances."""
  return [_side_by_side(runs, seen), distances.distances(runs)]


def _samples(seen: Drawn | None) -> Section:
  if seen is None:
    return Section('Samples', NO_CHECKPOINT, '')
  rows = ''.join(
    _row(breakable(kind.name), map(_image, images))
    for kind, images in zip(seen.kinds, seen.samples)
  )
  large = max(seen.samples.shape[2:4]) > paint.SMALL
  note = f'By class, of the checkpoint of step {number(seen.step)}; a column is one noise.'
  return Section('Samples', note, _rows(rows, large))


def _earlier(seen: Drawn | None) -> Section:
  title = 'Samples over training'
  if seen is None or len(seen.earlier) < 2:
    reason = 'only one checkpoint was kept: config.checkpoint.keep_every keeps others'
    return Section(title, NO_CHECKPOINT if seen is None else reason, '')
  rows = [
    [
      breakable(kind.name),
      *(f'<div>{"".join(map(_image, images[place]))}</div>' for images in seen.earlier.values()),
    ]
    for place, kind in enumerate(seen.kinds)
  ]
  head = ['', *(f'step {number(step)}' for step in seen.earlier)]
  note = 'Of the same noise, at the checkpoints that are kept.'
  return Section(title, note, f'<div class="drawn">{table(head, rows, title)}</div>')


def _between(seen: Drawn | None) -> Section:
  title = 'Interpolations'
  if seen is None or not seen.noises:
    return Section(title, NO_CHECKPOINT, '')
  body = _lines('Between two noises', seen.noises) + _lines('Between two classes', seen.classes)
  note = (
    'What lies between: of two noises along the sphere, for one class; of two classes by a mixture '
    'of their scales and biases, for one noise.'
  )
  return Section(title, note, body)


def _lines(title: str, lines: Sequence[Between]) -> str:
  rows = ''.join(_row(breakable(line.what), map(_image, line.images)) for line in lines)
  return f'<h3>{title}</h3>{_rows(rows)}' if rows else ''


def _near(seen: Drawn | None) -> Section:
  title = 'Nearest real pictures'
  if seen is None or not seen.near:
    return Section(title, 'the data were not at hand', '')
  rows = ''.join(
    _row(
      breakable(one.name),
      [
        _captioned(one.sample, 'sample'),
        *(_captioned(image, number(finite(far))) for image, far in zip(one.found, one.distances)),
      ],
    )
    for one in seen.near
  )
  note = (
    f'A sample, then those of {seen.searched} whose features are nearest to its own, and how far '
    'they are: a generator that has learned its pictures by heart would show them.'
  )
  return Section(title, note, _rows(rows))


def _looks(seen: Drawn | None) -> Section:
  title = 'Where the generator looks'
  if seen is None or seen.looks is None:
    reason = NO_CHECKPOINT if seen is None else 'the generator has no attention'
    return Section(title, reason, '')
  looks = seen.looks
  rows = ''.join(
    _look(looks, layer, place, seen.kinds[place % len(seen.kinds)].name)
    for place in range(len(looks.images))
    for layer in range(len(looks.layers))
  )
  note = (
    'Samples with five points in frames, then what the generator looks at while it draws each of '
    f'them, in its map of as many pixels. {LEGEND}'
  )
  return Section(title, note, _rows(rows, large=True))


def _look(looks: Looks, layer: int, place: int, name: str) -> str:
  """A row: one sample, one attention."""
  image, (side, maps) = looks.images[place], looks.layers[layer]
  cells = [(int(x * side), int(y * side)) for y, x in POINTS]
  tiles = [_scene(paint.photograph(image, TILE), image, cells, side)]
  tiles += [
    _scene(paint.heat(image, weights, TILE), image, [cell], side)
    for cell, weights in zip(cells, maps[place])
  ]
  return _row(f'{breakable(name)} <span class="soft">{side} × {side}</span>', tiles)


def _losses(run: Run) -> Section:
  charts = []
  for chart, lines in CHARTS:
    series = []
    for metric, name in lines.items():
      series += distances.line(run, f'train/{metric}', name)
    charts += [dict(metric=chart, series=series)] if series else []
  note = (
    'Both players in one figure, and the scores that the discriminator gives: it is a game, and '
    'neither loss says how good the samples are.'
  )
  body = figure('curves', dict(runs=[run.name], charts=charts)) if charts else ''
  return Section('Losses of both players', note if charts else 'nothing was logged', body)


def _norms(seen: Drawn | None) -> Section:
  title = 'Singular values'
  if seen is None or not seen.norms:
    reason = NO_CHECKPOINT if seen is None else 'no layer is spectrally normalised'
    return Section(title, reason, '')
  tables = ''.join(
    f'<h3>{player}</h3>{_norm_table([one for one in seen.norms if one.player == player])}'
    for player in dict.fromkeys(one.player for one in seen.norms)
  )
  note = (
    "The largest of each layer's kernel; σ, which power iteration takes for it and the layer "
    'divides by; and what is left of it, 1 where the iteration keeps up with training.'
  )
  return Section(title, note, tables)


def _norm_table(norms: Sequence[Norm]) -> str:
  top = max(one.largest for one in norms)
  rows = [
    [
      breakable(one.layer),
      ' × '.join(map(str, one.shape)),
      bar(one.largest / top if top else None, number(finite(one.largest))),
      number(finite(one.sigma)),
      number(finite(one.largest / one.sigma)) if one.sigma else '–',
    ]
    for one in norms
  ]
  return table(['layer', 'kernel', 'largest', 'σ', 'left'], rows, 'Singular values')


def _side_by_side(runs: Sequence[Run], seen: Sequence[Drawn]) -> Section:
  """Samples of runs that know the same classes: a column for each run."""
  title = 'Samples'
  if len(seen) < len(runs) or len({tuple(one.kinds) for one in seen}) > 1:
    return Section(title, 'the runs do not draw the same classes', '')
  rows = [
    [
      breakable(kind.name),
      *(f'<div>{"".join(map(_image, one.samples[place][:4]))}</div>' for one in seen),
    ]
    for place, kind in enumerate(seen[0].kinds)
  ]
  head = ['', *(breakable(run.name) for run in runs)]
  note = 'The first of each class, of the checkpoint that stands for each run.'
  return Section(title, note, f'<div class="drawn">{table(head, rows, title)}</div>')


def _rows(rows: str, large: bool = False) -> str:
  return f'<div class="drawn rows{" large" * large}">{rows}</div>'


def _row(name: str, tiles: Iterable[str]) -> str:
  """What it is, and its pictures."""
  return f'<p>{name}</p><div>{"".join(tiles)}</div>'


def _image(image: UInt8[np.ndarray, 'h w c'], source: str = '') -> str:
  """A picture, by default as it is; of a small one pixels are seen as such."""
  small = ' class="pixels"' if max(image.shape[:2]) <= paint.SMALL else ''
  height, width = image.shape[:2]
  source = source or paint.photograph(image, TILE)
  return f'<img{small} src="{source}" width="{width}" height="{height}" alt="">'


def _captioned(image: UInt8[np.ndarray, 'h w c'], caption: str) -> str:
  return f'<figure>{_image(image)}<figcaption>{caption}</figcaption></figure>'


def _scene(
  source: str, image: UInt8[np.ndarray, 'h w c'], cells: Sequence[tuple[int, int]], side: int
) -> str:
  """A picture with frames around cells (column, row) of a map."""
  frames = ''.join(
    f'<rect{under} x="{x}" y="{y}" width="1" height="1"/>'
    for x, y in cells
    for under in (' class="under"', '')
  )
  lines = f'<svg viewBox="0 0 {side} {side}" preserveAspectRatio="none">{frames}</svg>'
  return f'<figure class="scene">{_image(image, source)}{lines}</figure>'
