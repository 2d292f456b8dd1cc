"""The page of all claims: what is told, what was predicted, what came out, and the figure."""

import pathlib
from collections.abc import Sequence
from types import ModuleType
from typing import NamedTuple

from experiments.claims import frame
from vitlab.report import page
from vitlab.report.markup import Section, duration, escape, table, tiles

STYLE = pathlib.Path(__file__).with_name('page.css')


class Told(NamedTuple):
  """A claim of which there are results.

  Attributes:
    name: 'c4'.
    claim: Its file.
    found: What came out, by prediction.
    figure: The SVG.
    seconds: Of processors, all sessions together.
  """

  name: str
  claim: ModuleType
  found: Sequence[frame.Found]
  figure: str
  seconds: float

  @property
  def title(self) -> str:
    return (
      f'{self.name.upper()}  {self.claim.TITLE}' if self.name[1:].isdigit() else self.claim.TITLE
    )


def write(path: pathlib.Path, told: Sequence[Told], missing: Sequence[ModuleType], size: str):
  """Replaces the page.

  Args:
    path: Of the page.
    told: The claims that have results, in order.
    missing: Those that have none.
    size: Of the experiments.
  """
  absent = [Section(claim.TITLE, 'not measured yet', '') for claim in missing]
  parts = [*map(_section, told), *absent]
  verdicts = [frame.verdict(one.found) for one in told]
  counts = [(word, str(verdicts.count(word))) for word in (frame.HOLDS, frame.PARTLY, frame.FAILS)]
  seconds = sum(one.seconds for one in told)
  head = (
    '<p class="lead">What is told of attention, and what comes out when it is measured: the '
    f'predictions were written before the experiments. These are the <strong>{size}</strong> ones.'
    f'</p>{tiles([*counts, ("time of processors", duration(round(seconds)))])}{_overview(told)}'
  )
  page.save(path, page.assemble('Claims about attention', head, parts, styles=[STYLE]))


def _overview(told: Sequence[Told]) -> str:
  """A line a claim."""
  rows = []
  for one in told:
    anchor = Section(one.title, '', '').anchor
    held = f'{sum(found.holds for found in one.found)} of {len(one.found)}'
    rows.append([f'<a href="#{anchor}">{escape(one.title)}</a>', _badge(one.found), held])
  return table(['claim', 'verdict', 'came true'], rows, 'all claims')


def _section(one: Told) -> Section:
  """Sentence in the margin; verdict, predictions with their outcomes, figure and method beside."""
  lines = ''.join(
    f'<li class="{"came" if found.holds else "failed"}"><p>{escape(prediction)}</p>'
    f'<p class="found"><b>{"It did" if found.holds else "It did not"}</b>: '
    f'{escape(found.text)}.</p></li>'
    for prediction, found in zip(one.claim.PREDICTIONS, one.found, strict=True)
  )
  body = (
    f'<p>{_badge(one.found)}</p><ol class="predictions">{lines}</ol>'
    f'<div class="scroll"><div class="drawn" role="img" aria-label="{escape(one.title)}">'
    f'{one.figure}</div></div>'
    f'<p class="soft method">{escape(one.claim.METHOD)} Time of processors: '
    f'{escape(duration(round(one.seconds)))}.</p>'
  )
  return Section(one.title, f'“{escape(one.claim.SENTENCE)}”', body)


def _badge(found: Sequence[frame.Found]) -> str:
  word = frame.verdict(found)
  return f'<span class="verdict {word.replace(" ", "-")}">{word}</span>'
