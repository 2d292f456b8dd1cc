"""The numbers behind each figure, JSON-able; page.js draws them.

Every function returns None where what it needs is not there, and the page says so.
"""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from vitlab.report.pictures import Picture
from vitlab.report.run import Run, ordered

POINTS = 800  # per curve: more than a chart has pixels
MATRIX = 32  # classes; a larger confusion matrix is not readable, its worst pairs are
PAIRS = 12
SIDE = 256  # pixels, the longer side of an embedded image
MAPS = 200_000  # bytes of maps per image; above it heads are left out
UNDRAWN = ('step', 'time/seconds')

Arrays = Mapping[str, np.ndarray]


def curves(runs: Sequence[Run]) -> list[dict[str, Any]] | None:
  """One chart per metric, one series per run and evaluator; accuracy and loss lead."""
  charts: dict[str, list[dict[str, Any]]] = {}
  for number, run in enumerate(runs):
    for key in ordered(key for row in run.rows for key in row if key not in UNDRAWN):
      points = [(row['step'], row[key]) for row in run.rows if key in row]
      evaluator, _, metric = key.rpartition('/')
      series = dict(run=number, evaluator=evaluator, **_thin(points))
      charts.setdefault(metric, []).append(series)
  return [dict(metric=metric, series=series) for metric, series in charts.items()] or None


def confusion(arrays: Arrays, class_names: Sequence[str]) -> dict[str, Any] | None:
  """The matrix of counts (row: true class) and its largest entries off the diagonal."""
  counts = arrays.get('confusion')
  if counts is None or not counts.sum():
    return None
  wrong = counts * (1 - np.eye(len(counts), dtype=counts.dtype))
  worst = np.argsort(-wrong, axis=None, kind='stable')[:PAIRS]
  support = _support(arrays)
  return dict(
    counts=counts.tolist() if len(counts) <= MATRIX else None,
    names=_names(class_names, len(counts)),
    pairs=[
      dict(truth=int(t), said=int(p), count=int(wrong[t, p]), of=int(support[t]))
      for t, p in zip(*np.unravel_index(worst, wrong.shape))
      if wrong[t, p]
    ],
    total=int(support.sum()),
    wrong=int(support.sum() - np.trace(counts)),
  )


def classes(arrays: Arrays, class_names: Sequence[str]) -> list[dict[str, Any]] | None:
  """Accuracy (recall) and precision of every class, or of the weakest ones of many."""
  if 'class_accuracy' not in arrays:
    return None
  accuracy, support = _floats(arrays['class_accuracy']), _support(arrays)
  names = _names(class_names, len(accuracy))
  counts, precision = arrays.get('confusion'), [None] * len(accuracy)
  if counts is not None:
    said = counts.sum(axis=0)
    precision = [_finite(float(n / s)) if s else None for n, s in zip(np.diagonal(counts), said)]
  shown = range(len(accuracy))
  if len(shown) > MATRIX:
    shown = sorted(shown, key=lambda i: 2.0 if accuracy[i] is None else accuracy[i])[:PAIRS]
  return [
    dict(name=names[i], accuracy=accuracy[i], precision=precision[i], support=int(support[i]))
    for i in shown
  ]


def calibration(arrays: Arrays) -> dict[str, Any] | None:
  """Bins of equal width in confidence, and the expected calibration error (1706.04599)."""
  if 'calibration_count' not in arrays or not arrays['calibration_count'].sum():
    return None
  confidence, accuracy, count = (
    arrays[f'calibration_{name}'] for name in ('confidence', 'accuracy', 'count')
  )
  return dict(
    confidence=_floats(confidence),
    accuracy=_floats(accuracy),
    count=count.tolist(),
    error=float(np.nansum(np.abs(accuracy - confidence) * count) / count.sum()),
  )


def picture(one: Picture, class_names: Sequence[str]) -> dict[str, Any]:
  """An image with its labels; attention as bytes, each map scaled to its own maximum."""
  names = _names(class_names, max(one.label, one.predicted) + 1)
  height, width = one.image.shape[:2]
  found = dict(
    index=one.index,
    source=png(one.image),
    width=width,
    height=height,
    truth=names[one.label],
    said=names[one.predicted] if one.predicted >= 0 else 'NaN',
    right=one.label == one.predicted,
    confidence=_finite(one.confidence),
  )
  if one.attention is None or one.rollout is None:
    return found
  # The mean over the heads stands before them; the rollout comes last.
  maps = np.concatenate([one.attention.mean(axis=1, keepdims=True), one.attention], axis=1)
  if maps.size > MAPS:
    maps = maps[:, :1]
  depth, columns, *grid = maps.shape
  maps = np.concatenate([maps.reshape(-1, *grid), one.rollout[None]])
  peak = np.maximum(maps.max(axis=(1, 2), keepdims=True), 1e-12)
  scaled = np.round(np.nan_to_num(maps / peak) * 255).astype(np.uint8)
  return found | dict(
    depth=depth, columns=columns, grid=grid, maps=base64.b64encode(scaled.tobytes()).decode()
  )


def png(image: np.ndarray) -> str:
  """A data URL; large photographs are made smaller and kept as JPEG."""
  photograph = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image[..., :3])
  kind = 'PNG' if max(photograph.size) <= 64 else 'JPEG'
  photograph.thumbnail((SIDE, SIDE))
  stream = io.BytesIO()
  photograph.save(stream, kind)
  return f'data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}'


def _thin(points: Sequence[tuple[int, Any]]) -> dict[str, Any]:
  """At most about POINTS points: the lowest and the highest of each stretch, and the last."""
  steps, values = [step for step, _ in points], [_finite(value) for _, value in points]
  lost = values.count(None)
  if len(points) > POINTS:
    kept = {len(points) - 1}
    for stretch in np.array_split(np.arange(len(points)), POINTS // 2):
      ranked = sorted((values[i], i) for i in stretch.tolist() if values[i] is not None)
      kept |= {ranked[0][1], ranked[-1][1]} if ranked else {int(stretch[0])}
    steps, values = ([column[i] for i in sorted(kept)] for column in (steps, values))
  return dict(steps=steps, values=values, lost=lost)


def _finite(value: Any) -> float | None:
  """JSON has no NaN; six digits are more than a screen shows."""
  if not isinstance(value, int | float) or not math.isfinite(value):
    return None
  return float(f'{value:.6g}')


def _floats(values: Sequence[float] | np.ndarray) -> list[float | None]:
  return [_finite(float(value)) for value in values]


def _support(arrays: Arrays) -> np.ndarray:
  """Examples by class; a row of the confusion matrix lacks those whose logits are NaN."""
  return arrays['class_count'] if 'class_count' in arrays else arrays['confusion'].sum(axis=1)


def _names(class_names: Sequence[str], count: int) -> list[str]:
  return [str(class_names[i]) if i < len(class_names) else str(i) for i in range(count)]
