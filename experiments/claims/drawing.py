"""Figures in the colours of the page: one SVG that follows the reader's light or dark setting."""

import contextlib
import io
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import (
  FixedLocator,
  FuncFormatter,
  LogLocator,
  MaxNLocator,
  NullFormatter,
  NullLocator,
)

import vitlab.report
from experiments.claims.frame import Interval

_CSS = pathlib.Path(vitlab.report.__file__).with_name('page.css').read_text()
# Name -> colour of the light page, which in the SVG stands for the name.
COLOURS = dict(re.findall(r'--(paper|ink|soft|line|c\d): (#\w{6})\b', _CSS[: _CSS.index('@media')]))
CYCLE = [COLOURS[f'c{i}'] for i in range(8)]
MARKS = 'osD^vPX*'
_STYLE = {
  'axes.prop_cycle': matplotlib.cycler(color=CYCLE),
  'axes.edgecolor': COLOURS['soft'],
  'axes.labelcolor': COLOURS['ink'],
  'axes.titlesize': 10,
  'axes.titlelocation': 'left',
  'axes.spines.top': False,
  'axes.spines.right': False,
  'axes.grid': True,
  'axes.axisbelow': True,
  'figure.facecolor': COLOURS['paper'],
  'axes.facecolor': 'none',
  'font.size': 9,
  'grid.color': COLOURS['line'],
  'legend.frameon': False,
  'lines.linewidth': 1.6,
  'lines.markersize': 4.5,
  'text.color': COLOURS['ink'],
  'xtick.color': COLOURS['soft'],
  'ytick.color': COLOURS['soft'],
}


@contextlib.contextmanager
def sheet(path: pathlib.Path, name: str, height: float = 3.0) -> Iterator[Figure]:
  """A figure that is written at the end, as path.svg for the page and path.png to look at.

  Args:
    path: Without its ending.
    name: Of the claim: what is defined in the SVG has names of its own in the page.
    height: In inches; 7.2 wide.
  """
  with matplotlib.rc_context(_STYLE | {'svg.hashsalt': name}):
    figure = Figure(figsize=(7.2, height), layout='constrained')
    yield figure
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path.with_suffix('.png'), dpi=110)
    text = io.StringIO()
    figure.savefig(text, format='svg', transparent=True, metadata={'Date': None})
  path.with_suffix('.svg').write_text(_themed(text.getvalue()))


def _themed(svg: str) -> str:
  """Without its head, and with names instead of colours."""
  svg = svg[svg.index('<svg') :]
  svg = re.sub(r'<metadata>.*?</metadata>', '', svg, flags=re.S)
  for name, colour in COLOURS.items():
    svg = svg.replace(colour, f'var(--{name})')
  return re.sub(r' (width|height)="[\d.]+pt"', '', svg, count=2)


Point = Interval | Sequence[float] | float


def line(
  axes: Any, x: Sequence[Any], y: Sequence[Point], number: int, label: str = '', dash: str = '-'
) -> None:
  """A curve.

  Args:
    axes: Of the figure.
    x: Places.
    y: Numbers, with their intervals; of several times the shortest, with the longest above.
    number: Of the curve: its colour and mark.
    label: In the legend.
    dash: Of its line.
  """
  whiskers = np.nan_to_num(np.transpose([_whisker(one) for one in y]))
  middle = whiskers[1].copy()
  style = dict(color=CYCLE[number], marker=MARKS[number], capsize=2, linestyle=dash)
  axes.errorbar(x, middle, yerr=[middle - whiskers[0], whiskers[2] - middle], **style)
  if label:
    style.pop('capsize')
    axes.plot([], [], label=label, **style)


def _whisker(one: Point) -> tuple[float, float, float]:
  """Low, middle, high."""
  if isinstance(one, Interval):
    half = float(np.nan_to_num(one.half))
    return one.mean - half, one.mean, one.mean + half
  times = one if isinstance(one, Sequence) else [one]
  return min(times), min(times), max(times)


def ticks(axis: Any, places: Sequence[float]) -> None:
  """At these places alone, as plain numbers."""
  axis.set_major_locator(FixedLocator(places))
  axis.set_major_formatter(FuncFormatter(lambda x, _: f'{x:,.0f}'))
  axis.set_minor_locator(NullLocator())


def by_length(axes: Any, lengths: Sequence[int]) -> None:
  """Logarithmic both ways: powers of two to the right, named at powers of ten upwards."""
  powers_of_ten(axes)
  axes.set_xscale('log', base=2)
  ticks(axes.xaxis, lengths)
  axes.tick_params(axis='x', rotation=45)


def powers_of_ten(axes: Any) -> None:
  """A logarithmic axis upwards, named at powers of ten; of a narrow range at 1, 2 and 5, too."""
  axes.set_yscale('log')
  axes.yaxis.set_minor_formatter(NullFormatter())
  low, high = axes.dataLim.intervaly
  if 0 < low < high < 100 * low:  # of which there may be none
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f'{y:g}'))


def bars(axes: Any, names: Sequence[str], y: Sequence[Interval], numbers: Sequence[int]) -> None:
  """Lying bars, from top to bottom, with their intervals."""
  for place, (one, number) in enumerate(zip(y, numbers)):
    style = dict(color=CYCLE[number], height=0.62, ecolor=COLOURS['ink'], capsize=2)
    axes.barh(place, one.mean, xerr=one.half, **style)
  axes.set_yticks(range(len(names)), names)
  axes.invert_yaxis()
  axes.grid(axis='y', visible=False)


def whole() -> MaxNLocator:
  """Ticks at whole numbers."""
  return MaxNLocator(integer=True)


def cells(axes: Any, per_cent: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> None:
  """A table whose cells are the fuller of colour, the larger the number."""
  for (y, x), share in np.ndenumerate(per_cent):
    style = dict(facecolor=CYCLE[0], alpha=min(1.0, share / 100), edgecolor='none')
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, **style))
    ink = COLOURS['paper' if share > 55 else 'ink']
    axes.text(x, y, f'{share:.0f}', ha='center', va='center', fontsize=7, color=ink)
  axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
  axes.set_yticks(range(len(rows)), rows)
  axes.set_xticks(range(len(columns)), columns)
  axes.tick_params(axis='x', labelsize=6.5)
  axes.grid(visible=False)
