"""The parts of a page about sentences: which lengths succeed, what was said, and the alignment."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape

import numpy as np

from vitlab.ops.tokens import EOS, PAD
from vitlab.report.markup import Section, figure
from vitlab.report.run import Run

EXAMPLES = 12
ALIGNMENTS = 4
CELL = 15  # pixels
LETTER = 7  # pixels

Arrays = Mapping[str, np.ndarray]


def parts(run: Run) -> list[Section]:
  """All parts of one run; those that it does not have say so."""
  arrays = _arrays(run)
  return [by_length([run]), _examples(arrays, run.vocabulary), _alignments(arrays, run.vocabulary)]


def by_length(runs: Sequence[Run]) -> Section:
  """The share of right sentences against their length: what attention cures."""
  title, data = 'Accuracy by length', []
  for number, run in enumerate(runs):
    arrays = _arrays(run)
    if 'length' in arrays:
      columns = (arrays[name].tolist() for name in ('length', 'length_accuracy', 'length_count'))
      name = run.name if len(runs) > 1 else ''
      data.append(dict(run=number, name=name, points=list(zip(*columns))))
  if not data:
    return Section(title, 'no accuracy by length was stored', '')
  note = (
    'How many sentences of each length are said without a mistake. A model that keeps a sentence '
    'in one vector falls where the vector is full.'
  )
  return Section(title, note, figure('lengths', data))


def _arrays(run: Run) -> Arrays:
  return next((found for found in run.details.values() if 'length' in found), {})


def _examples(arrays: Arrays, vocabulary: Sequence[str]) -> Section:
  if 'examples_tokens' not in arrays:
    return Section('Examples', 'no examples were stored', '')
  items = []
  names = ('tokens', 'targets', 'decoded')
  for row in zip(*(arrays[f'examples_{name}'][:EXAMPLES] for name in names)):
    source, target, said = (_written(tokens, vocabulary) for tokens in row)
    marked = ' '.join(
      escape(word) if target[i : i + 1] == [word] else f'<b class="wrong">{escape(word)}</b>'
      for i, word in enumerate(said)
    )
    if len(said) < len(target):
      marked += ' <b class="wrong">…</b>'
    lines = dict(source=escape(' '.join(source)), target=escape(' '.join(target)), said=marked)
    items.append(''.join(f'<div><dt>{k}</dt><dd>{v}</dd></div>' for k, v in lines.items()))
  note = 'The first of the split, whatever became of them. What is not as in the target is bold.'
  body = ''.join(f'<li><dl>{item}</dl></li>' for item in items)
  return Section('Examples', note, f'<ol class="sentences">{body}</ol>')


def _alignments(arrays: Arrays, vocabulary: Sequence[str]) -> Section:
  if 'attention' not in arrays:
    return Section('Alignment', 'the model has no attention, or none was kept', '')
  pictures = [
    _alignment(weights, _written(source, vocabulary, ends=True), _written(target, vocabulary, True))
    for weights, source, target in zip(
      arrays['attention'][:ALIGNMENTS].mean(axis=(1, 2), dtype=np.float32),
      arrays['examples_tokens'],
      arrays['examples_targets'],
    )
  ]
  note = (
    'Where the decoder looks in the source (columns) when it is to say a word of the target '
    '(rows): the mean over layers and heads.'
  )
  return Section('Alignment', note, f'<div class="alignments">{"".join(pictures)}</div>')


def _alignment(weights: np.ndarray, source: Sequence[str], target: Sequence[str]) -> str:
  """A grid of squares, target words to the left, source words above."""
  left, top = (6 + LETTER * max(map(len, words)) for words in (target, source))
  width, height = left + CELL * len(source), top + CELL * len(target)
  shown = list(_cells(weights, len(source), len(target), left, top))
  for i, word in enumerate(source):
    x = left + CELL * (i + 0.5) + 4
    shown.append(f'<text transform="translate({x},{top - 5}) rotate(-90)">{escape(word)}</text>')
  for i, word in enumerate(target):
    y = top + CELL * (i + 0.5) + 4
    shown.append(f'<text x="{left - 5}" y="{y}" text-anchor="end">{escape(word)}</text>')
  label = escape(f'alignment of {" ".join(target)} with {" ".join(source)}')
  return (
    f'<svg role="img" aria-label="{label}" width="{width}" height="{height}" '
    f'viewBox="0 0 {width} {height}">{"".join(shown)}</svg>'
  )


def _cells(weights: np.ndarray, columns: int, rows: int, left: int, top: int) -> Iterator[str]:
  for row, column in np.ndindex(rows, columns):
    weight = float(weights[row, column])
    x, y = left + CELL * column, top + CELL * row
    yield (
      f'<rect class="weight" x="{x}" y="{y}" width="{CELL - 1}" height="{CELL - 1}" '
      f'fill-opacity="{0.06 + 0.94 * weight:.2f}"><title>{100 * weight:.0f} %</title></rect>'
    )


def _written(tokens: np.ndarray, vocabulary: Sequence[str], ends: bool = False) -> list[str]:
  """The words of a sentence, with the mark of its end if `ends`."""
  kept = [int(token) for token in tokens if token != PAD]
  kept = kept if ends or kept[-1:] != [EOS] else kept[:-1]
  return [vocabulary[token] if token < len(vocabulary) else f'#{token}' for token in kept]
