"""HTML pieces and numbers in words. Everything that comes from a run is escaped here."""

import html
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from vitlab import metrics
from vitlab.lines import visible

ABSENT = '<span class="soft">–</span>'


def escape(text: str) -> str:
  """Text as HTML; what would not be seen in it as Python writes it."""
  return html.escape(visible(text))


class Section(NamedTuple):
  """A part of the page: heading and note in the margin, body beside them."""

  title: str
  note: str
  body: str

  def html(self) -> str:
    return (
      f'<section id="{self.anchor}"><div class="margin"><h2>{escape(self.title)}</h2>'
      f'<p>{self.note}</p></div><div class="body">{self.body}</div></section>'
    )

  @property
  def anchor(self) -> str:
    return re.sub(r'\W+', '-', self.title.lower())


def number(value: Any) -> str:
  """A value as a reader wants it: four digits, thousands apart, NaN spelled out."""
  if value is None:  # JSON's word for a number that is not finite
    return 'NaN'
  if isinstance(value, bool) or not isinstance(value, int | float):
    return str(value)
  if not math.isfinite(value):
    return 'NaN' if math.isnan(value) else ('∞' if value > 0 else '−∞')
  if float(value).is_integer() and abs(value) < 1e15:
    return f'{int(value):,}'
  if abs(value) >= 1000:
    return f'{value:,.0f}'
  return f'{value:.4g}'


def score(metric: str, value: Any) -> str:
  """A metric's value; a share in percent."""
  return metrics.percent(metric, value) or number(value)


def duration(seconds: float | int) -> str:
  """74.2 -> '1 min 14 s'."""
  if not math.isfinite(seconds) or seconds < 0:
    return number(seconds)
  if seconds < 60:
    return f'{seconds:.3g} s'
  minutes, rest = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f'{hours:,} h {minutes} min' if hours else f'{minutes} min {rest} s'


def plain(value: Any) -> str:
  """A value of a config, exactly, as it would be typed."""
  if isinstance(value, list | tuple):
    return f'({", ".join(map(plain, value))})'
  if isinstance(value, bool):
    return str(value).lower()
  return "''" if value == '' else str(value)


def figure(kind: str, data: Any) -> str:
  """A place where page.js draws; the data travel inside, and cannot end their script early."""
  text = json.dumps(data, allow_nan=False, separators=(',', ':')).replace('<', '\\u003c')
  script = f'<script type="application/json">{text}</script>'
  return f'<div class="figure" data-figure="{kind}">{script}</div>'


def tiles(facts: Iterable[tuple[str, str]]) -> str:
  """The large numbers at the top of the page."""
  pairs = ''.join(f'<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>' for k, v in facts)
  return f'<dl class="tiles">{pairs}</dl>'


def pairs(facts: Mapping[str, Any]) -> str:
  """Names and values in a monospaced list that flows into columns."""
  rows = ''.join(
    f'<div><dt>{escape(str(k))}</dt><dd>{escape(plain(v))}</dd></div>' for k, v in facts.items()
  )
  return f'<dl class="pairs">{rows}</dl>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], label: str) -> str:
  """Cells are HTML already; the first of each row is its heading."""
  columns = ''.join(f'<th scope="col">{cell}</th>' for cell in head)
  lines = ''.join(
    f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
    for first, *rest in rows
  )
  return (
    f'<div class="scroll" role="region" aria-label="{escape(label)}" tabindex="0"><table>'
    f'<thead><tr>{columns}</tr></thead><tbody>{lines}</tbody></table></div>'
  )


def bar(share: float | None, text: str) -> str:
  """A cell with a bar behind its number."""
  width = 100 * min(max(share or 0.0, 0.0), 1.0)
  filled = f'<span class="bar"><i style="width:{width:.1f}%"></i></span>'
  return f'{filled}<span class="value">{escape(text)}</span>'


def breakable(text: str) -> str:
  """Escaped, with places where a long name may go on in the next line."""
  return re.sub(r'([_/.,=|-])', r'\1<wbr>', escape(text))


def spaced(metric: str) -> str:
  """'test/top5_accuracy' -> 'test top5 accuracy'."""
  return re.sub(r'[/_]', ' ', metric)
