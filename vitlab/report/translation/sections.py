"""The parts of a page about sentences: which lengths succeed, what was said, and the alignment."""

import difflib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from vitlab.evaluators._text_scores import BIN
from vitlab.lines import visible
from vitlab.ops.tokens import EOS, PAD
from vitlab.report.markup import Section, breakable, escape, figure
from vitlab.report.run import Run

EXAMPLES = 12
ALIGNMENTS = 4
CELL = 15  # pixels
LETTER = 7  # pixels

Arrays = Mapping[str, np.ndarray]


def parts(run: Run, seen: None = None) -> list[Section]:
  """All parts of one run; those that it does not have say so."""
  del seen  # everything is in the small files
  arrays, words = _arrays(run), vocabulary(run)
  return [by_length([run]), _examples(arrays, words), _alignments(arrays, words)]


def compared(runs: Sequence[Run], seen: Sequence[None] = ()) -> list[Section]:
  """The same lengths, by all runs."""
  del seen
  return [by_length(runs)]


def vocabulary(run: Run) -> list[str]:
  """How the tokens are written."""
  return [str(token) for token in run.facts.get('vocabulary') or ()]


def by_length(runs: Sequence[Run]) -> Section:
  """How well sentences are said against their length: what attention cures."""
  for kind, names, width, title, note in _KINDS:
    data = []
    for number, run in enumerate(runs):
      arrays = _arrays(run)
      if names[0] in arrays:
        points = list(zip(*(arrays[name].tolist() for name in names)))
        data.append(dict(run=number, name=run.name if len(runs) > 1 else '', points=points))
    if data:
      said = {str(text) for run in runs for text in _arrays(run).get('signatures', ())}
      note += ''.join(f'<br>{breakable(text)}' for text in sorted(said)) if kind == 'bleu' else ''
      return Section(title, note, figure('lengths', dict(kind=kind, width=width, models=data)))
  return Section('Accuracy by length', 'no accuracy by length was stored', '')


# Of text BLEU tells more than how many sentences are said to the letter.
_KINDS = (
  (
    'bleu',
    ('bleu_length', 'length_bleu', 'bleu_count'),
    BIN,
    'BLEU by length',
    'BLEU of the sentences of each length; where none has four words, of their shorter n-grams '
    '(effective order). A model that keeps a sentence in one vector falls where it is full.',
  ),
  (
    'accuracy',
    ('length', 'length_accuracy', 'length_count'),
    1,
    'Accuracy by length',
    'How many sentences of each length are said without a mistake. A model that keeps a sentence '
    'in one vector falls where the vector is full.',
  ),
)


def _arrays(run: Run) -> Arrays:
  return next((found for found in run.details.values() if 'length' in found), {})


def _examples(arrays: Arrays, vocabulary: Sequence[str]) -> Section:
  if 'examples_tokens' not in arrays:
    return Section('Examples', 'no examples were stored', '')
  items = []
  for source, target, said in _sides(arrays, vocabulary):
    # Where no text has a space, its characters are compared.
    spaced = any(' ' in text for text in (source, target, said))
    split, space = (str.split, ' ') if spaced else (list, '')
    marked = _marked(split(said), split(target), space)
    lines = dict(source=escape(source), target=escape(target), said=marked)
    items.append(''.join(f'<div><dt>{k}</dt><dd>{v}</dd></div>' for k, v in lines.items()))
  note = 'The first of the split, whatever became of them. What is not as in the target is bold.'
  body = ''.join(f'<li><dl>{item}</dl></li>' for item in items)
  return Section('Examples', note, f'<ol class="sentences">{body}</ol>')


def _sides(arrays: Arrays, vocabulary: Sequence[str]) -> list[tuple[str, str, str]]:
  """Source, target and what is said of the first examples; from tokens if no text was stored."""
  if 'examples_text' in arrays:
    return [tuple(map(str, row)) for row in arrays['examples_text'][:EXAMPLES]]
  columns = (arrays[f'examples_{name}'][:EXAMPLES] for name in ('tokens', 'targets', 'decoded'))
  return [
    tuple(' '.join(_words(_written(tokens, vocabulary))) for tokens in row) for row in zip(*columns)
  ]


def _marked(said: Sequence[str], target: Sequence[str], space: str) -> str:
  """What is said, with what is not in the target, in this order, bold."""
  found = difflib.SequenceMatcher(None, said, target, autojunk=False).get_matching_blocks()
  right = {i for block in found for i in range(block.a, block.a + block.size)}
  words = [
    escape(word) if i in right else f'<b class="wrong">{escape(word)}</b>'
    for i, word in enumerate(said)
  ]
  if len(said) < len(target):
    words.append('<b class="wrong">…</b>')
  return space.join(words)


def _words(pieces: Sequence[str]) -> list[str]:
  """Of pieces that begin with '▁' where a word does, the words."""
  joined = ''.join(pieces)
  return joined.replace('▁', ' ').split() if '▁' in joined else list(pieces)


def _alignments(arrays: Arrays, vocabulary: Sequence[str]) -> Section:
  if 'attention' not in arrays:
    return Section('Alignment', 'the model has no attention, or none was kept', '')
  pictures = [
    alignment(weights, _written(source, vocabulary, ends=True), _written(target, vocabulary, True))
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


def alignment(weights: np.ndarray, source: Sequence[str], target: Sequence[str]) -> str:
  """Weights as a grid of squares, target words to the left, source words above."""
  source, target = (list(map(visible, words)) for words in (source, target))
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
