"""The parts of a page that show what a model looks at."""

from collections.abc import Mapping, Sequence

import numpy as np

from vitlab.report import paint
from vitlab.report.classification import figures
from vitlab.report.classification.look import Layer
from vitlab.report.classification.pictures import Picture, Pictures
from vitlab.report.markup import Section, bar, breakable, escape, figure

LEGEND = '<span class="legend">least <i></i> most</span>'
NO_IMAGES = 'no images were collected'
NO_ATTENTION = 'the model has no attention over the image'


def parts(pictures: Pictures | None, class_names: Sequence[str]) -> list[Section]:
  """All parts; those that a model cannot have say so."""
  pictures = pictures or Pictures()
  return [
    evidence(pictures.attended, class_names),
    attention(pictures, class_names),
    distance({'': pictures.attended}),
    windows(pictures.attended),
    biases(pictures.biases),
  ]


def evidence(pictures: Sequence[Picture], class_names: Sequence[str]) -> Section:
  """Saliency and occlusion, beside rollout where there is attention: their cross-check."""
  if not pictures:
    return Section('Evidence', NO_IMAGES, '')
  cards = ''.join(f'<li>{_card(one, class_names)}</li>' for one in pictures)
  note = (
    'What each prediction rests on. Saliency is input × gradient; occlusion, how far the '
    'probability falls when a patch is covered. '
  )
  if pictures[0].look.rollout is not None:
    note += 'Rollout is the attention of all layers at once; the others know nothing of attention. '
  note += LEGEND
  return Section('Evidence', note, f'<ul class="evidence">{cards}</ul>')


def _card(one: Picture, class_names: Sequence[str]) -> str:
  return f'<div class="strip">{original(one)}{overlays(one)}</div>{verdict(one, class_names)}'


def original(one: Picture, caption: str = '') -> str:
  """The image itself as a tile."""
  small = ' class="pixels"' * (max(one.image.shape[:2]) <= paint.SMALL)
  source = paint.photograph(one.image, side=paint.TILE)
  return _tile(
    f'<img{small} src="{source}" alt="image {one.index}">', escape(caption or one.name or 'image')
  )


def overlays(one: Picture) -> str:
  """Rollout, saliency and occlusion as tiles."""
  tiles = ''
  for name, values in one.look.overlays.items():
    source = paint.heat(one.image, paint.shrunk(values))
    tiles += _tile(f'<img src="{source}" alt="{name} of image {one.index}">', name)
  return tiles


def verdict(one: Picture, class_names: Sequence[str]) -> str:
  """'cat → dog' and how sure the model is; 'dog' where it is right or nobody knows."""
  found = figures.picture(one, class_names)
  said, share = f'<b>{breakable(found["said"])}</b>', found['confidence']
  wrong = one.label >= 0 and not found['right']
  words = f'{breakable(found["truth"])} <span class="soft">→</span> {said}' if wrong else said
  kind = ' class="wrong"' * wrong
  return f'<div class="verdict"><p{kind}>{words}</p><p>{bar(share, percent(share))}</p></div>'


def percent(share: float | None) -> str:
  return '–' if share is None else f'{100 * share:.1f} %'


def _tile(content: str, caption: str) -> str:
  return f'<figure>{content}<figcaption>{caption}</figcaption></figure>'


def attention(pictures: Pictures, class_names: Sequence[str]) -> Section:
  """Every layer, head and query of every image."""
  seen = [one for one in pictures.attended if one.look.layers]
  if not seen:
    return Section('Attention', NO_ATTENTION if pictures.attended else NO_IMAGES, '')
  data = dict(
    images=[figures.attention(one, class_names) for one in seen],
    reads='the average patch' if seen[0].look.layers[0].window else pictures.reads,
  )
  note = (
    f'Where {escape(data["reads"])} looks, by layer and head: choose a map to see it over the '
    'image. Click into the image to ask the patch there instead. Each map is scaled to its own '
    f'maximum. {LEGEND}'
  )
  return Section('Attention', note, figure('attention', data))


def distance(models: Mapping[str, Sequence[Picture]]) -> Section:
  """How far heads look, against depth.

  Args:
    models: Name -> images that it was looked at with.
  """
  title = 'Attention distance'
  seen = {name: [p.look.layers for p in found] for name, found in models.items()}
  series = [
    dict(run=run, name=name, layers=figures.distances(layers))
    for run, (name, layers) in enumerate(seen.items())
    if layers and layers[0]
  ]
  if not series:
    return Section(title, NO_ATTENTION if any(models.values()) else NO_IMAGES, '')
  count = len(next(found for found in models.values() if found))
  note = (
    'How many pixels lie between a patch and what it attends to, on average over '
    f'{count} images: a dot for each head, a line through their means. Local heads are low, '
    'global ones high.'
  )
  return Section(title, note, figure('distance', series))


def windows(pictures: Sequence[Picture]) -> Section:
  """The windows of every stage over one image, in place and shifted."""
  layers = pictures[0].look.layers if pictures else ()
  layers = [one for one in layers if one.window and not one.name.startswith('inner')]
  if not layers:
    return Section('Windows', 'attention is not within windows' if pictures else NO_IMAGES, '')
  kinds = {(one.maps.shape, one.shift): one for one in reversed(layers)}
  tiles = ''.join(_windows(pictures[0], kinds[key]) for key in reversed(kinds))
  one = layers[0]
  note = (
    f'Tokens attend within these windows, of at most {one.window} × {one.window} cells, from the '
    'first stage to the last. Every other block shifts them by half a window, so that neighbours '
    'across a border meet.'
  )
  return Section('Windows', note, f'<div class="windows">{tiles}</div>')


def _windows(one: Picture, layer: Layer) -> str:
  rows, columns = layer.maps.shape[1:]
  size = layer.window
  lines = ''.join(f'M0 {y}H{columns}' for y in range(layer.shift or size, rows, size))
  lines += ''.join(f'M{x} 0V{rows}' for x in range(layer.shift or size, columns, size))
  small = ' class="pixels"' * (max(one.image.shape[:2]) <= paint.SMALL)
  picture = (
    f'<img{small} src="{paint.photograph(one.image, side=paint.TILE)}" alt="image {one.index}">'
  )
  drawn = (
    f'<svg viewBox="0 0 {columns} {rows}" preserveAspectRatio="none" aria-hidden="true">'
    f'<path class="under" d="{lines}"/><path d="{lines}"/></svg>'
  )
  kind = f'shifted by {layer.shift}' if layer.shift else 'in place'
  caption = f'{layer.name}: {rows} × {columns}, {kind}'
  return _tile(f'<div class="scene">{picture}{drawn}</div>', caption)


def biases(tables: Mapping[str, np.ndarray]) -> Section:
  """A picture for every head of every layer."""
  title = 'Position bias'
  if not tables:
    return Section(title, 'the model has no relative position bias', '')
  rows = []
  for name, table in tables.items():
    # A constant changes no softmax: the mean of a head is not shown.
    centred = table - table.mean(axis=(1, 2), keepdims=True)
    peak = float(np.abs(centred).max())
    side = table.shape[-1]
    pictures = ''.join(
      f'<img class="pixels" src="{paint.signed(head, peak)}" width="{side}" height="{side}" '
      f'alt="{name}, head {i + 1}" title="{name}, head {i + 1}">'
      for i, head in enumerate(centred)
    )
    rows.append(f'<p>{name}<br><span class="soft">± {peak:.2g}</span></p><div>{pictures}</div>')
  note = (
    'What each head adds to its logits by how far a query lies below and to the right of a key; '
    'no offset is in the middle. Every head is shown less its mean, on the scale of its layer. '
    '<span class="legend signed">less <i></i> more</span>'
  )
  return Section(title, note, f'<div class="biases">{"".join(rows)}</div>')
