"""The parts of a page about masked language models: rows of text with what was guessed in them."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from vitlab.data import tokenizers
from vitlab.data.vocabularies import CONTINUES, SPACES
from vitlab.report.markup import Section, escape, number
from vitlab.report.run import Run

SHOWN = 12  # rows

Arrays = Mapping[str, np.ndarray]


def parts(run: Run, seen: None = None) -> list[Section]:
  """Rows with hidden tokens, by every evaluator that keeps them."""
  del seen  # everything is in the small files
  found = {name: x for name, x in run.details.items() if 'guess_tokens' in x}
  if not found:
    return [Section('Guesses', 'no guesses were stored', '')]
  of = lambda name: f' ({name})' if len(found) > 1 else ''  # noqa: E731
  return [_guesses(f'Guesses{of(name)}', arrays, run) for name, arrays in found.items()]


def compared(runs: Sequence[Run], seen: Sequence[None] = ()) -> list[Section]:
  """Nothing beside the curves."""
  del runs, seen
  return []


def _guesses(title: str, arrays: Arrays, run: Run) -> Section:
  vocabulary = tokenizers.of(run.facts)
  pieces = vocabulary.pieces if vocabulary else []
  names = ('tokens', 'place', 'target', 'guess', 'nll')
  apart = max(1, len(arrays['guess_index']) // SHOWN)  # those beside each other share text
  rows = list(zip(*(arrays[f'guess_{name}'][::apart][:SHOWN] for name in names)))
  items = ''.join(f'<li><p>{_row(pieces, *row)}</p></li>' for row in rows)
  note = (
    'Tokens that were hidden, and guessed <mark class="right">right</mark> or '
    '<mark class="wrong">wrong</mark>, with what stood there behind it. Point at one to read how '
    'surprised the model was.'
  )
  return Section(title, note, f'<ol class="texts">{items}</ol>')


def _row(
  pieces: Sequence[str],
  tokens: np.ndarray,
  places: np.ndarray,
  targets: np.ndarray,
  guesses: np.ndarray,
  surprises: np.ndarray,
) -> str:
  """A row as HTML: the text, with a mark in each place that was hidden."""
  spaced = any(piece.startswith(CONTINUES) for piece in pieces)
  hidden = {
    place: _mark(_piece(pieces, target), _piece(pieces, guess), surprise)
    for place, target, guess, surprise in zip(
      *(x.tolist() for x in (places, targets, guesses, surprises))
    )
    if place >= 0
  }
  return ''.join(_joined(pieces, tokens, hidden, spaced)).strip()


def _joined(
  pieces: Sequence[str], tokens: np.ndarray, hidden: Mapping[int, str], spaced: bool
) -> Iterator[str]:
  for place, token in enumerate(tokens.tolist()):
    if token < 0:  # padding
      continue
    piece = _piece(pieces, token)
    alone = not piece.startswith(CONTINUES) if spaced else piece.startswith(SPACES)
    yield ' ' if alone else ''
    yield hidden.get(place) or escape(_bare(piece))


def _mark(target: str, guess: str, surprise: float) -> str:
  title = f'{number(surprise)} nats'
  if target == guess:
    return f'<mark class="right" title="{title}">{escape(_bare(target))}</mark>'
  truth = f'<span class="soft">({escape(_bare(target))})</span>'
  return f'<mark class="wrong" title="{title}">{escape(_bare(guess))}</mark> {truth}'


def _piece(pieces: Sequence[str], token: int) -> str:
  return pieces[token] if token < len(pieces) else f'#{token}'


def _bare(piece: str) -> str:
  """Without the signs of a space or of its absence, unless it is nothing else."""
  return piece.removeprefix(CONTINUES).lstrip(''.join(SPACES)) or piece
