"""What all claims share: where results lie, what is measured once, intervals, and the verdict.

A claim is a file of this folder with

  TITLE        a few words
  SENTENCE     what is told, and by whom
  PREDICTIONS  which numbers would have to come out; written before the experiment was run
  METHOD       what is done, in a sentence or two
  run(place)   measures, and returns the rows of results; what is there is not measured again
  outcome(rows)  one `Found` for each prediction, computed from the rows
  draw(rows, figure)  on a figure of matplotlib
"""

import json
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from vitlab import workdir

SIZES = ('tiny', 'small', 'full')
ROWS = 'rows.jsonl'
HOLDS, PARTLY, FAILS = 'holds', 'holds in part', 'does not hold'

Row = Mapping[str, Any]


class Place(NamedTuple):
  """Where a claim is measured, and how much of it.

  Attributes:
    size: One of `SIZES`.
    folder: Of its results.
    data: A folder of pictures in MNIST's format; '' are the bundled digits.
    slots: How many trainings at once.
  """

  size: str
  folder: pathlib.Path
  data: str = ''
  slots: int = 1

  def pick(self, tiny: Any, small: Any, full: Any) -> Any:
    """What belongs to the size."""
    return dict(zip(SIZES, (tiny, small, full)))[self.size]

  @property
  def seeds(self) -> range:
    return range(self.pick(1, 3, 5))


class Found(NamedTuple):
  """What came out of a prediction.

  Attributes:
    holds: Whether it did.
    text: The numbers, in words.
  """

  holds: bool
  text: str


class Interval(NamedTuple):
  """Mean and half of its 95 % interval by Student's t, NaN of a single value."""

  mean: float
  half: float

  @property
  def low(self) -> float:
    return self.mean - self.half

  @property
  def high(self) -> float:
    return self.mean + self.half

  def text(self, form: str = '.1f', unit: str = '') -> str:
    """'91.2 ± 0.4 %'."""
    half = '' if np.isnan(self.half) else f' ± {self.half:{form.lstrip("+")}}'
    return f'{self.mean:{form}}{half}{unit}'


def interval(values: Iterable[float]) -> Interval:
  """Of measurements that differ by their seed alone."""
  x = np.asarray(list(values), float)
  if len(x) < 2:
    return Interval(float(x.mean()), float('nan'))
  half = stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
  return Interval(float(x.mean()), float(half))


def verdict(found: Sequence[Found]) -> str:
  """Of a claim, from its predictions."""
  count = sum(one.holds for one in found)
  return HOLDS if count == len(found) else PARTLY if count else FAILS


def select(rows: Iterable[Row], **where: Any) -> list[Row]:
  """Those with these values."""
  return [row for row in rows if all(row.get(key) == value for key, value in where.items())]


def column(rows: Iterable[Row], key: str, **where: Any) -> list[Any]:
  """A number of each row that has it, with these values."""
  return [row[key] for row in select(rows, **where) if key in row]


def values(rows: Iterable[Row], key: str) -> list[Any]:
  """What occurs, each once, in order of appearance."""
  return list(dict.fromkeys(row[key] for row in rows if key in row))


def paired(rows: Sequence[Row], key: str, these: Row, those: Row) -> Interval:
  """Of the differences of a number, seed by seed."""
  first, second = ({row['seed']: row[key] for row in select(rows, **w)} for w in (these, those))
  return interval(first[seed] - second[seed] for seed in first if seed in second)


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
  """Of the power law through the last half of some points, three of them at least."""
  points = sorted(zip(x, y))
  points = np.log(points[min(len(points) // 2, max(0, len(points) - 3)) :])
  return float(np.polyfit(*points.T, 1)[0])


def measured(
  place: Place, points: Iterable[Row], measure: Callable[..., Row], name: str = ROWS
) -> list[Row]:
  """The rows of some points, in their order; those that are not there yet are measured.

  Each is written as soon as it is known, so that a killed experiment goes on behind it.

  Args:
    place: Whose folder has the file.
    points: What is to be measured; JSON knows no tuples.
    measure: Called with what a point says; a row is the point and what this returns.
    name: Of the file.
  """
  path, found = place.folder / name, []
  place.folder.mkdir(parents=True, exist_ok=True)
  there = stored(path)
  for point in points:
    row = next((row for row in there if row.items() >= point.items()), None)
    if row is None:
      row = {**point, **measure(**point)}
      with path.open('ab') as file:
        file.write(workdir.json_line(row))
      print(f'{place.folder.name}: {json.dumps(row)[:200]}', flush=True)
    found.append(row)
  return found


def stored(path: pathlib.Path) -> list[dict[str, Any]]:
  """The rows of a file; the torn one that a kill has left is cut off."""
  if not path.exists():
    return []
  whole, newline, torn = path.read_bytes().rpartition(b'\n')
  if torn:
    workdir.replace(path, whole + newline)
  return [json.loads(line) for line in whole.splitlines()]
