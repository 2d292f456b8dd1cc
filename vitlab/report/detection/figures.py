"""The numbers behind the figures of a detector, JSON-able; its scripts draw them.

Every function returns None where what it needs is not there, and the page says so.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from vitlab.report import paint
from vitlab.report.confusion import named
from vitlab.report.detection.collected import WORST, Pictures, Seen
from vitlab.report.figures import finite, floats
from vitlab.report.run import Run

Arrays = Mapping[str, np.ndarray]

SIDE = 640  # pixels of a picture that boxes are drawn over
LINES = 8  # classes that have a curve; of more, those with most objects
QUERIES = 12  # of a picture, the surest
PLACES = 36  # of a map, from which the encoder looks
BYTES = 300_000  # of the maps of a picture; above it, heads give way to their mean
LEAST = 0.05  # score of a detection that is worth a word


def class_names(run: Run) -> list[str]:
  return [str(name) for name in run.facts.get('class_names') or ()]


def arrays(run: Run) -> Arrays:
  """The details of the evaluator that has measured detections; none: {}."""
  return next((found for found in run.details.values() if 'curve_precision' in found), {})


def threshold(details: Arrays) -> float:
  """The score from which on F1 is best; 0.5 where nothing right was found."""
  score = float(details.get('score', np.inf))
  return score if np.isfinite(score) else 0.5


def boxes(details: Arrays, names: Sequence[str], pictures: Pictures) -> dict[str, Any] | None:
  """The worst pictures with what there is and what is found, in pixels of their files."""
  if 'worst_index' not in details or not len(details['worst_index']):
    return None
  shown = []
  for place, index in enumerate(details['worst_index'][:WORST].tolist()):
    height, width = details['worst_size'][place].tolist()
    image = pictures.images.get(index)
    truth, found = (details[f'{kind}_picture'] == place for kind in ('truth', 'found'))
    outcome = details['truth_outcome'][truth]
    shown.append(
      dict(
        index=index,
        width=width,
        height=height,
        source=None if image is None else paint.photograph(image, SIDE),
        small=image is not None and max(image.shape[:2]) <= paint.SMALL,
        truth=[
          dict(box=box, of=of, free=bool(free), crowd=bool(crowd))
          for box, of, free, crowd in zip(
            _rounded(details['truth_boxes'][truth]),
            _ints(details, 'truth', truth),
            outcome == 3,
            details['truth_crowd'][truth],
          )
        ],
        found=[
          dict(box=box, of=of, score=score)
          for box, of, score in zip(
            _rounded(details['found_boxes'][found]),
            _ints(details, 'found', found),
            floats(details['found_scores'][found]),
          )
        ],
      )
    )
  return dict(names=_named(details, names), score=finite(threshold(details)), pictures=shown)


def precision(details: Arrays, names: Sequence[str]) -> dict[str, Any] | None:
  """Precision at 101 recalls, by class and by size of object.

  Classes have their AP at an overlap of 0.5 beside them; of many, those with most objects are kept.
  """
  if 'curve_precision' not in details or not np.isfinite(details['curve_precision']).any():
    return None
  curve, score = details['curve_precision'], details['curve_score']
  ap, names = details['class_ap50'], _named(details, names)
  often = np.argsort(-details['class_count'], kind='stable').tolist()
  known = [i for i in often if np.isfinite(ap[i])]
  classes = [
    dict(name=names[i], ap=finite(float(ap[i])), **_curve(curve[i, 0], score[i, 0]))
    for i in sorted(known[:LINES])
  ]
  sizes = []
  for a, size in enumerate(map(str, details['sizes'])):
    there = np.isfinite(curve[:, a]).all(-1)
    if there.any():
      mean = curve[there, a].mean(axis=0)
      sizes.append(dict(name=size, ap=finite(float(mean.mean())), **_curve(mean, None)))
  # Where all objects are of one size, its line is that of all.
  return dict(classes=classes, sizes=sizes[1:] if len(sizes) == 2 else sizes, known=len(known))


def queries(one: Seen, names: Sequence[str]) -> dict[str, Any] | None:
  """A picture with the maps of its surest answers, and of places that the encoder looks from.

  The maps are cut to what is no padding, each scaled to its own maximum: by answer, layer and head
  (first the mean over heads), then by place, layer and head.
  """
  look, (height, width) = one.look, one.image.shape[:2]
  sure = [i for i, score in enumerate(one.found.scores[:QUERIES].tolist()) if score >= LEAST]
  if look is None or not sure:
    return None
  rows, columns = look.decoder.shape[-2:]
  cell = one.shape[0] / rows, one.shape[1] / columns
  cells = -(-height * rows // one.shape[0]), -(-width * columns // one.shape[1])
  decoder = _by_asker(look.decoder, [int(look.queries[i]) for i in sure], cells)
  places = _places(cells)
  asked = [y * columns + x for y, x in places]
  encoder = None if look.encoder is None else _by_asker(look.encoder, asked, cells)
  maps = [decoder] if encoder is None else [decoder, encoder]
  return dict(
    name=one.name,
    source=paint.photograph(one.image, SIDE),
    small=max(height, width) <= paint.SMALL,
    width=width,
    height=height,
    grid=cells,
    cover=[cells[0] * cell[0] / height, cells[1] * cell[1] / width],
    answers=[
      dict(
        box=box,
        name=names[one.found.classes[i]] if one.found.classes[i] < len(names) else '?',
        score=finite(float(one.found.scores[i])),
      )
      for i, box in zip(sure, _rounded(one.found.boxes[sure]))
    ],
    places=places if encoder is not None else [],
    decoder=decoder.shape[1:3],
    encoder=encoder.shape[1:3] if encoder is not None else [0, 0],
    maps=paint.pack(np.concatenate([paint.scaled(x).reshape(-1) for x in maps])),
  )


def _by_asker(
  maps: Float[np.ndarray, 'l h q rows columns'], asked: Sequence[int], cells: tuple[int, int]
) -> Float[np.ndarray, 'asked l maps y x']:
  """Some queries' maps without padding; the mean over heads stands before them, or alone."""
  maps = np.moveaxis(maps[:, :, asked, : cells[0], : cells[1]], 2, 0)
  mean = maps.mean(axis=2, keepdims=True)
  return np.concatenate([mean, maps], axis=2) if maps.size <= BYTES else mean


def _places(cells: tuple[int, int]) -> list[tuple[int, int]]:
  """Cells all over the map, as many as are allowed."""
  step = 1
  while -(-cells[0] // step) * -(-cells[1] // step) > PLACES:
    step += 1
  return [
    (y, x)
    for y in range(min(step // 2, cells[0] - 1), cells[0], step)
    for x in range(min(step // 2, cells[1] - 1), cells[1], step)
  ]


def _curve(precision: np.ndarray, score: np.ndarray | None) -> dict[str, Any]:
  scores = {} if score is None else dict(scores=[finite(round(float(s), 4)) for s in score])
  return dict(points=[finite(round(float(p), 4)) for p in precision], **scores)


def _named(details: Arrays, names: Sequence[str]) -> list[str]:
  return named(names, len(details['class_count']))


def _rounded(boxes: Float[np.ndarray, 'n 4']) -> list[list[float]]:
  return np.round(boxes.astype(float), 1).tolist()


def _ints(details: Arrays, kind: str, which: np.ndarray) -> list[int]:
  return details[f'{kind}_classes'][which].tolist()
