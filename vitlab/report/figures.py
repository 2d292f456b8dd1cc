"""The numbers behind each figure, JSON-able; page.js draws them.

Every function returns None where what it needs is not there, and the page says so.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from vitlab import metrics
from vitlab.report.run import Run

POINTS = 800  # per curve: more than a chart has pixels
UNDRAWN = ('step', 'time/seconds')


def curves(runs: Sequence[Run]) -> list[dict[str, Any]] | None:
  """One chart per metric, one series per run and evaluator; accuracy and loss lead."""
  charts: dict[str, list[dict[str, Any]]] = {}
  for number, run in enumerate(runs):
    for key in metrics.ordered(key for row in run.rows for key in row if key not in UNDRAWN):
      points = [(row['step'], row[key]) for row in run.rows if key in row]
      evaluator, _, metric = key.rpartition('/')
      series = dict(run=number, evaluator=evaluator, **thin(points))
      charts.setdefault(metric, []).append(series)
  return [dict(metric=metric, series=series) for metric, series in charts.items()] or None


def thin(points: Sequence[tuple[int, Any]], limit: int = POINTS) -> dict[str, Any]:
  """At most about `limit` points: the lowest and the highest of each stretch, and the last."""
  steps, values = [step for step, _ in points], [finite(value) for _, value in points]
  lost = values.count(None)
  if len(points) > limit:
    kept = {len(points) - 1}
    for stretch in np.array_split(np.arange(len(points)), limit // 2):
      ranked = sorted((values[i], i) for i in stretch.tolist() if values[i] is not None)
      kept |= {ranked[0][1], ranked[-1][1]} if ranked else {int(stretch[0])}
    steps, values = ([column[i] for i in sorted(kept)] for column in (steps, values))
  return dict(steps=steps, values=values, lost=lost)


def finite(value: Any) -> float | None:
  """JSON has no NaN; six digits are more than a screen shows."""
  if not isinstance(value, int | float) or not math.isfinite(value):
    return None
  return float(f'{value:.6g}')


def floats(values: Sequence[float] | np.ndarray) -> list[float | None]:
  return [finite(float(value)) for value in values]
