"""The parts of a page about word vectors: a map of the words, and the analogies they know."""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from vitlab.predict import embedding, trained
from vitlab.report.figures import floats
from vitlab.report.markup import Section, bar, breakable, escape, figure, number, table
from vitlab.report.run import Run

SCRIPTS = ('words.js',)
MOST = 2_000  # words on the map, the most frequent


class Map(NamedTuple):
  """The plane in which words differ most.

  Attributes:
    words: The most frequent ones.
    places: Where they lie in it.
    share: How much of the variance the two directions have.
  """

  words: Sequence[str]
  places: Float[np.ndarray, 'words 2']
  share: float


def collect(workdirs: Sequence[str | pathlib.Path]) -> list[Map]:
  """The map of each run, by its checkpoint."""
  return [_map(trained.load(str(folder))) for folder in workdirs]


def parts(run: Run, seen: Map | None) -> list[Section]:
  """All parts of one run; those that it does not have say so."""
  return [_words(seen), _analogies([run])]


def compared(runs: Sequence[Run], seen: Sequence[Map] = ()) -> list[Section]:
  """The analogies of several runs; maps of different spaces say nothing of each other."""
  del seen
  return [_analogies(runs)]


def plane(vectors: Float[np.ndarray, 'words d']) -> tuple[Float[np.ndarray, 'words 2'], float]:
  """The first two principal components of directions, and their share of the variance."""
  units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
  centred = units - units.mean(0)
  u, s, _ = np.linalg.svd(centred, full_matrices=False)
  places = np.zeros((len(units), 2))
  places[:, : len(s[:2])] = u[:, :2] * s[:2]
  return places, float(np.sum(s[:2] ** 2) / max(np.sum(s**2), 1e-12))


def _map(model: trained.Trained) -> Map:
  vectors = embedding.vectors(model)[:MOST]
  return Map(list(model.facts['vocabulary'][:MOST]), *plane(vectors))


def _words(seen: Map | None) -> Section:
  title = 'Map of the words'
  if seen is None:
    return Section(title, 'no checkpoint at hand', '')
  note = (
    f'The {number(len(seen.words))} most frequent words in the plane in which they differ most: '
    f'two principal components of their directions, {100 * seen.share:.0f} % of the variance.'
  )
  data: dict[str, Any] = dict(
    words=list(seen.words), x=floats(seen.places[:, 0]), y=floats(seen.places[:, 1])
  )
  return Section(title, note, figure('words', data))


def _analogies(runs: Sequence[Run]) -> Section:
  """Right answers by section, for each run that has been asked."""
  title, found = 'Analogies', []
  for run in runs:
    arrays = next((a for a in run.details.values() if 'section_add' in a), None)
    if arrays is not None:
      found.append((run.name, arrays))
  if not found:
    return Section(title, 'no evaluator asks for analogies', '')
  sections = list(map(str, found[0][1]['sections']))
  rows = []
  for place, name in enumerate(sections):
    cells = [_share(arrays, place) for _, arrays in found if place < len(arrays['section_count'])]
    count = number(int(found[0][1]['section_count'][place]))
    rows.append([breakable(name), count, *cells])
  names = [escape(name) for name, _ in found] if len(found) > 1 else ['right']
  note = 'Right answers by 3CosAdd, of the questions of which all words are in the vocabulary.'
  return Section(title, note, table(['section', 'questions', *names], rows, 'Analogies by section'))


def _share(arrays: dict[str, np.ndarray], place: int) -> str:
  count = int(arrays['section_count'][place])
  share = int(arrays['section_add'][place]) / count if count else None
  return bar(share, '–' if share is None else f'{100 * share:.1f} %')
