"""The numbers behind the figures of a classifier of images, JSON-able; page.js draws them.

Every function returns None where what it needs is not there, and the page says so.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vitlab.report import paint
from vitlab.report.classification.look import Layer
from vitlab.report.classification.pictures import Picture
from vitlab.report.confusion import named
from vitlab.report.figures import finite, floats
from vitlab.report.run import Run

MAPS = 200_000  # bytes of maps per image before packing; above it heads are left out
QUERIES = 200_000  # bytes of the maps of queries, likewise


def class_names(run: Run) -> list[str]:
  return [str(name) for name in run.facts.get('class_names') or ()]


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
