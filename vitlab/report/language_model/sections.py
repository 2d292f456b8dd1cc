"""The parts of a page about language models: loss and baselines, heads, maps, samples."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from vitlab.ops.head_roles import ROLES
from vitlab.report.figures import curves, floats
from vitlab.report.language_model.collected import Baselines, Places, Seen
from vitlab.report.language_model.heads import Roles, Text, packed
from vitlab.report.markup import ABSENT, Section, bar, breakable, escape, figure, number, table
from vitlab.report.run import Run

NO_DATA = 'no checkpoint or no text at hand'
BASELINES = 'Loss and baselines'
COUNTING = (
  'Unigram and bigram only count the training text: how often a token is, and how often it follows '
  'the one before it (Witten–Bell). '
)


def parts(run: Run, seen: Seen | None) -> list[Section]:
  """All parts of one run; those that it does not have say so."""
  seen = seen or Seen()
  return [
    loss(run, seen),
    by_place([('', seen)]),
    roles(seen.roles),
    glances(seen.text, seen.roles),
    samples(seen.samples),
  ]


def compared(runs: Sequence[Run], seen: Sequence[Seen] = ()) -> list[Section]:
  """Losses of several runs, each beside what counting reaches with its vocabulary."""
  seen = list(seen) or [Seen()] * len(runs)
  same = len({run.facts.get('tokenizer') for run in runs}) == 1
  places = [(run.name, one) for run, one in zip(runs, seen)]
  return [losses(runs, seen), by_place(places if same else [])]


def evaluated(run: Run) -> tuple[str, dict[str, float]]:
  """The evaluator of perplexity, and the last values of its metrics."""
  last = {key: value for key, value in run.last.items() if isinstance(value, int | float)}
  name = next((key.rpartition('/')[0] for key in last if key.endswith('/bits_per_token')), '')
  return name, {
    key.rpartition('/')[2]: value for key, value in last.items() if key.startswith(f'{name}/')
  }


def loss(run: Run, seen: Seen) -> Section:
  """The loss of a run, of counting and of knowing nothing, in all units that are known."""
  name, found = evaluated(run)
  if not name:
    return Section(BASELINES, 'no evaluator of perplexity', '')
  lines, base = [('this model', found['loss'])], seen.baselines
  if base:
    lines += [('bigram', base.bigram), ('unigram', base.unigram)]
    lines += [('every token alike', math.log(base.vocab_size))]
  units = [unit for unit in ('character', 'byte') if f'bits_per_{unit}' in found]
  most = max(value for _, value in lines)
  rows = [
    [escape(what), bar(value / most, number(value)), number(math.exp(min(value, 700)))]
    + [number(bits) for bits in _bits(value, found, units)]
    for what, value in lines
  ]
  head = ['', 'nats per token', 'perplexity', 'bits per token', *(f'per {u}' for u in units)]
  note = f'How surprised a reader is by {escape(name)}, less being better. '
  note += COUNTING if base else 'No text at hand to count for baselines.'
  return Section(BASELINES, note, _levels(run, base) + table(head, rows, 'Loss and baselines'))


def _levels(run: Run, base: Baselines | None) -> str:
  """The loss over the steps, above a level line for each way of counting."""
  charts = [chart for chart in curves([run]) or () if chart['metric'] == 'loss']
  if not base or not charts:
    return ''
  series = charts[0]['series']
  steps = [step for one in series for step in one['steps']]
  for name in ('bigram', 'unigram'):
    level = floats([getattr(base, name)] * 2)
    span = dict(steps=[min(steps), max(steps)], values=level, lost=0)
    series.append(dict(run=0, evaluator=name, **span))
  return f'<div class="wide">{figure("curves", dict(runs=[run.name], charts=charts))}</div>'


def _bits(value: float, found: dict[str, float], units: Sequence[str]) -> list[float]:
  """A loss in bits per token, and per unit by the ratio that the evaluator has for its own."""
  bits = value / math.log(2)
  return [bits, *(bits * found[f'bits_per_{unit}'] / found['bits_per_token'] for unit in units)]


def losses(runs: Sequence[Run], seen: Sequence[Seen]) -> Section:
  """A row for each run."""
  rows = []
  for place, (run, one) in enumerate(zip(runs, seen)):
    name, found = evaluated(run)
    if name:
      base = [one.baselines.bigram, one.baselines.unigram] if one.baselines else [None, None]
      values = [found['loss'], *base, found.get('bits_per_character'), found.get('bits_per_byte')]
      cells = [ABSENT if value is None else number(value) for value in values]
      rows.append([f'<i class="key c{place % 8}"></i>{breakable(run.name)}', *cells])
  if not rows:
    return Section(BASELINES, 'no evaluator of perplexity', '')
  head = ['', 'nats per token', 'bigram', 'unigram', 'bits per character', 'per byte']
  note = COUNTING + 'Of different vocabularies, only bits per character and byte compare.'
  return Section(BASELINES, note, table(head, rows, 'Loss and baselines by run'))


def by_place(seen: Sequence[tuple[str, Seen]]) -> Section:
  """The loss against how much the model has read."""
  title = 'Loss by context'
  found = [(i, name, one) for i, (name, one) in enumerate(seen) if one.places is not None]
  if not found:
    return Section(title, NO_DATA if seen else 'the vocabularies differ', '')
  base = found[0][2].baselines if len({one.split for _, _, one in found}) == 1 else None
  data: dict[str, Any] = dict(
    models=[dict(run=i, name=name, points=_points(one.places)) for i, name, one in found],
    lines=[dict(name=k, value=floats([getattr(base, k)])[0]) for k in ('unigram', 'bigram')]
    if base
    else [],
  )
  note = (
    'The mean loss of the next token once so many have been read, on '
    f'{number(int(found[0][2].places.count.sum()))} tokens. It falls for as long as what lies '
    'further back is of use.'
  )
  return Section(title, note, figure('places', data))


def _points(places: Places) -> list[list[float | int | None]]:
  """[first, last, loss, tokens] of every column."""
  first = [1, *(places.last[:-1] + 1).tolist()]
  columns = (first, places.last.tolist(), floats(places.loss), places.count.tolist())
  return [list(row) for row in zip(*columns)]


def roles(found: Roles | None) -> Section:
  """Which head does what."""
  title = 'Heads'
  if found is None:
    return Section(title, 'no attention, no checkpoint or no text at hand', '')
  layers, _, count = found.share.shape
  names = list(ROLES)
  grid = [
    [f'layer {layer + 1}', *(_role(found, layer, head) for head in range(count))]
    for layer in range(layers)
  ]
  most = [
    np.unravel_index(np.argmax(found.share[:, i]), (layers, count)) for i in range(len(names))
  ]
  kinds = [
    [
      f'<i class="key c{i}"></i>{escape(name)}<br><span class="soft">{escape(ROLES[name])}</span>',
      f'layer {layer + 1}, head {head + 1}',
      bar(found.share[layer, i, head], _percent(found.share[layer, i, head])),
      _percent(found.alike[i]),
    ]
    for i, (name, (layer, head)) in enumerate(zip(names, most))
  ]
  note = (
    f'Where attention goes, the mean over {number(found.places)} tokens. A head is named by what '
    'it attends to most beyond chance, and not where that is less than 10 % of its attention. '
    'Chance is a head that looks at every place alike.'
  )
  body = table(['attends to', 'most in', 'share', 'by chance'], kinds, 'Roles of heads')
  head = ['', *(f'head {i + 1}' for i in range(count))]
  body += f'<div class="roles">{table(head, grid, "Heads by layer")}</div>'
  return Section(title, note, body)


def _role(found: Roles, layer: int, head: int) -> str:
  name = found.name(layer, head)
  if not name:
    return ABSENT
  place = list(ROLES).index(name)
  share = _percent(found.share[layer, place, head])
  return f'<i class="key c{place}"></i>{escape(name)}<br><span class="soft">{share}</span>'


def _percent(share: float) -> str:
  return f'{100 * share:.0f} %'


def glances(text: Text | None, found: Roles | None, title: str = 'Token by token') -> Section:
  """A text in which pointing at a token shows where a head looks from there."""
  if text is None or not len(text.pieces):
    return Section(title, 'no attention, no checkpoint or no text at hand', '')
  layers, count = text.weights.shape[:2]
  names: list[list[str]] = [[''] * count for _ in range(layers)]
  start = [layers - 1, 0]
  if found is not None:
    names = [[_said(found, i, j) for j in range(count)] for i in range(layers)]
    best = np.unravel_index(np.argmax(found.excess.max(axis=1)), (layers, count))
    start = [int(place) for place in best]
  note = (
    'Point at a token, or move with the arrow keys: the stronger its colour, the more of the '
    'attention an earlier one has. Choose a head below; each small map has a row for every token.'
  )
  data = dict(
    pieces=list(text.pieces),
    layers=layers,
    heads=count,
    names=names,
    start=start,
    weights=packed(text.weights),
  )
  return Section(title, note, figure('glances', data))


def _said(found: Roles, layer: int, head: int) -> str:
  """'previous 83 %', of what names a head."""
  name = found.name(layer, head)
  return f'{name} {_percent(found.share[layer, list(ROLES).index(name), head])}' if name else ''


def samples(texts: Sequence[str]) -> Section:
  """What the model writes."""
  if not texts:
    return Section('Samples', 'no checkpoint or no vocabulary at hand', '')
  shown = ''.join(f'<li>{_lines(text)}</li>' for text in texts)
  note = 'Written with nothing in front, as --mode=predict continues a text.'
  return Section('Samples', note, f'<ol class="samples">{shown}</ol>')


def _lines(text: str) -> str:
  return '\n'.join(map(escape, text.strip('\n').split('\n')))
