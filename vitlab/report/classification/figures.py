"""The numbers behind the figures of a classifier of images, JSON-able; page.js draws them.

Every function returns None where what it needs is not there, and the page says so.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vitlab.report import paint
from vitlab.report.classification.look import Layer
from vitlab.report.classification.pictures import Picture
from vitlab.report.figures import finite, floats
from vitlab.report.run import Run

MATRIX = 32  # classes; a larger confusion matrix is not readable, its worst pairs are
PAIRS = 12
MAPS = 200_000  # bytes of maps per image before packing; above it heads are left out
QUERIES = 200_000  # bytes of the maps of queries, likewise

Arrays = Mapping[str, np.ndarray]


def class_names(run: Run) -> list[str]:
  return [str(name) for name in run.facts.get('class_names') or ()]


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
    names=named(class_names, len(counts)),
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
  accuracy, support = floats(arrays['class_accuracy']), _support(arrays)
  names = named(class_names, len(accuracy))
  counts, precision = arrays.get('confusion'), [None] * len(accuracy)
  if counts is not None:
    said = counts.sum(axis=0)
    precision = [finite(float(n / s)) if s else None for n, s in zip(np.diagonal(counts), said)]
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
    confidence=floats(confidence),
    accuracy=floats(accuracy),
    count=count.tolist(),
    error=float(np.nansum(np.abs(accuracy - confidence) * count) / count.sum()),
  )


def picture(one: Picture, class_names: Sequence[str], side: int = paint.SIDE) -> dict[str, Any]:
  """An image, its longer side at most `side` pixels, with its labels."""
  names = named(class_names, max(one.label, one.predicted) + 1)
  height, width = one.image.shape[:2]
  return dict(
    index=one.index,
    source=paint.photograph(one.image, side),
    width=width,
    height=height,
    truth=names[one.label] if one.label >= 0 else None,
    said=names[one.predicted] if one.predicted >= 0 else 'NaN',
    right=one.label == one.predicted,
    confidence=finite(one.confidence),
  )


def attention(one: Picture, class_names: Sequence[str]) -> dict[str, Any]:
  """A picture with its maps as bytes, each scaled to its own maximum.

  Of every layer come the mean over its heads, the heads, and both for each query; then rollout,
  saliency and occlusion. Heads are left out where they are too many bytes.
  """
  look = one.look
  chunks, layers = [], []
  with_heads = sum(layer.maps.size for layer in look.layers) <= MAPS
  with_queries = sum(layer.queries.size for layer in look.layers) <= QUERIES
  for layer in look.layers:
    maps, queries = _and_mean(layer.maps), _and_mean(layer.queries)
    maps = maps if with_heads else maps[:1]
    queries = queries if with_queries and with_heads else queries[:, :1]
    chunks += [maps, queries]
    layers.append(
      dict(
        name=layer.name,
        grid=maps.shape[1:],
        columns=len(maps),
        asked=layer.asked.tolist(),
        by_query=queries.shape[1],
        window=layer.window,
        shift=layer.shift,
      )
    )
  overlays = {name: paint.shrunk(values) for name, values in look.overlays.items()}
  chunks += overlays.values()
  packed = np.concatenate([paint.scaled(chunk).reshape(-1) for chunk in chunks])
  return picture(one, class_names) | dict(
    layers=layers,
    overlays={name: values.shape for name, values in overlays.items()},
    maps=paint.pack(packed),
  )


def distances(layers: Sequence[Sequence[Layer]]) -> list[dict[str, Any]]:
  """Mean attention distance by layer and head, the mean over some images.

  Args:
    layers: Of every image.
  """
  return [
    dict(
      name=same[0].name,
      pixels=floats(np.mean([layer.distance for layer in same], axis=0)),
    )
    for same in zip(*layers)
    if not same[0].name.startswith('inner')
  ]


def _and_mean(maps: np.ndarray) -> np.ndarray:
  """The mean over the heads stands before them."""
  return np.concatenate([maps.mean(axis=-3, keepdims=True), maps], axis=-3)


def _support(arrays: Arrays) -> np.ndarray:
  """Examples by class; a row of the confusion matrix lacks those whose logits are NaN."""
  return arrays['class_count'] if 'class_count' in arrays else arrays['confusion'].sum(axis=1)


def named(class_names: Sequence[str], count: int) -> list[str]:
  return [str(class_names[i]) if i < len(class_names) else str(i) for i in range(count)]
