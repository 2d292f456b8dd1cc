"""The parts of a page about classifiers of texts: confusion, calibration, the worst mistakes."""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from vitlab import workdir
from vitlab.data import Source, tokenizers
from vitlab.report import confusion, mistakes
from vitlab.report.markup import Section, bar, breakable, escape
from vitlab.report.mistakes import Mistake
from vitlab.report.run import Run

SCRIPTS = ('matrix.js',)
SHOWN = 24  # mistakes
LONGEST = 600  # characters of a text


class Wrong(NamedTuple):
  """A mistake with the text that it is about.

  Attributes:
    text: The text, or both of a pair.
    mistake: The classes, by number.
  """

  text: Sequence[str]
  mistake: Mistake


def collect(workdirs: Sequence[str | pathlib.Path]) -> list[list[Wrong]]:
  """The surest mistakes of each run, with their texts.

  Raises:
    UserError: as `vitlab.report.mistakes.stored`.
  """
  return [_wrong(pathlib.Path(folder)) for folder in workdirs]


def parts(run: Run, seen: Sequence[Wrong] | None) -> list[Section]:
  """Confusion, classes, calibration and mistakes; those that it does not have say so."""
  names = [str(name) for name in run.facts.get('class_names') or ()]
  return [*confusion.parts(run, names), _mistakes(names, seen)]


def compared(runs: Sequence[Run], seen: Sequence[Sequence[Wrong]] = ()) -> list[Section]:
  """Nothing beside the curves."""
  del runs, seen
  return []


def _wrong(folder: pathlib.Path) -> list[Wrong]:
  facts = workdir.read_json(folder / workdir.FACTS) or {}
  source, found = mistakes.stored(folder, workdir.stored_config(str(folder)), facts)
  vocabulary = tokenizers.of(facts)
  return [Wrong(_text(source, one.index, vocabulary), one) for one in found[:SHOWN]]


def _text(source: Source, index: int, vocabulary: Any) -> list[str]:
  """As it was written, else its tokens."""
  if hasattr(source, 'text'):
    return list(source.text(index).values())
  return [vocabulary.decode(source[index]['tokens'])] if vocabulary else [f'text {index}']


def _mistakes(names: Sequence[str], seen: Sequence[Wrong] | None) -> Section:
  if not seen:
    reason = 'no texts were collected' if seen is None else 'the model made none'
    return Section('Mistakes', reason, '')
  known = confusion.named(names, 1 + max(max(one.mistake.truth, one.mistake.said) for one in seen))
  items = ''.join(_item(one, known) for one in seen)
  note = 'True → said: what the model got wrong, the surest first. The bar is its confidence.'
  return Section('Mistakes', note, f'<ol class="texts">{items}</ol>')


def _item(one: Wrong, names: Sequence[str]) -> str:
  _, truth, said, confidence = one.mistake
  said = breakable(names[said]) if said >= 0 else 'NaN'
  text = '<br>'.join(escape(_shortened(text)) for text in one.text)
  return (
    f'<li><p class="soft">{breakable(names[truth])} → <b>{said}</b> '
    f'{bar(confidence, confusion.percent(confidence))}</p><p>{text}</p></li>'
  )


def _shortened(text: str) -> str:
  return text if len(text) <= LONGEST else f'{text[:LONGEST]} …'
