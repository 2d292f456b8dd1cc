"""Pictures of a run of detection: what is found in some of them, before it is suppressed, and
where a detector with queries looks meanwhile.
"""

import logging
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from vitlab.data import fitted
from vitlab.ops.boxes import clip, cxcywh_to_xyxy
from vitlab.ops.nms import batched_nms
from vitlab.predict import trained as trained_lib
from vitlab.predict.trained import Trained
from vitlab.report import mistakes

_log = logging.getLogger(__name__)

KEY = 'worst_index'  # of the details of an evaluation that has what is shown here
WORST = 24
LOOKED = 6  # half of them of the worst
OVERLAP = 0.5  # of two candidates of a class, above which one is suppressed


class Answers(NamedTuple):
  """What is found in one picture, in its pixels, the surest first.

  Attributes:
    boxes: Left, top, right and bottom.
    scores: From 0 to 1.
    classes: Their numbers.
    kept: Which of them non-maximum suppression would leave.
  """

  boxes: Float[np.ndarray, 'n 4']
  scores: Float[np.ndarray, ' n']
  classes: Int[np.ndarray, ' n']
  kept: Any


class Look(NamedTuple):
  """Where a detector with queries looks; letters: l layer, h head.

  Attributes:
    queries: The query of each detection.
    decoder: Of every query; rows and columns are those of the padded picture's map.
    encoder: Of every place of the map, where there is an encoder.
  """

  queries: Int[np.ndarray, ' n']
  decoder: Float[np.ndarray, 'l h q rows columns']
  encoder: Float[np.ndarray, 'l h s rows columns'] | None


class Seen(NamedTuple):
  """One picture that the model was asked about.

  Attributes:
    name: What it is called.
    image: What the model saw, without padding.
    shape: Height and width with padding.
    found: What it answers.
    candidates: What it has before its own suppression; of a DETR, the same.
    look: None for a model without queries.
  """

  name: str
  image: UInt8[np.ndarray, 'h w c']
  shape: tuple[int, int]
  found: Answers
  candidates: Answers
  look: Look | None


class Pictures(NamedTuple):
  """What the page shows of a split.

  Attributes:
    images: Of the worst pictures, by index, without padding.
    seen: Those that the model was asked about.
  """

  images: Mapping[int, UInt8[np.ndarray, 'h w c']] = {}
  seen: Sequence[Seen] = ()


def collect(folders: Sequence[str | pathlib.Path]) -> list[Pictures]:
  """Pictures of a run, of the split that its first evaluator of detections reads.

  Several runs are compared by their small files alone: of them there is nothing to collect.

  Raises:
    UserError: there is no checkpoint or no evaluation yet, or the data cannot be read here.
  """
  return [_of_run(pathlib.Path(folder)) for folder in folders] if len(folders) == 1 else []


def _of_run(folder: pathlib.Path) -> Pictures:
  trained = trained_lib.load(str(folder))
  source, details = mistakes.evaluated(folder, trained.config, trained.facts, KEY, 'a detection')
  worst = details[KEY][:WORST].tolist()
  images = {index: picture(source[index]) for index in worst}
  others = [i for i in range(len(source)) if i not in worst][: LOOKED - LOOKED // 2]
  asked = {f'picture {i}': picture(source[i]) for i in worst[: LOOKED // 2] + others}
  try:
    return Pictures(images, look(trained, asked))
  except Exception as error:  # the page is worth having without them
    _log.warning('the report goes without what the model looks at: %s', error)
    return Pictures(images)


def picture(example: Mapping[str, Any]) -> UInt8[np.ndarray, 'h w c']:
  """The image of an example without its padding."""
  height, width = example['size']
  return np.asarray(example['image'])[:height, :width]


def look(trained: Trained, images: Mapping[str, UInt8[np.ndarray, 'h w c']]) -> list[Seen]:
  """Asks a model about pictures without padding, by their names, one after the other."""
  ask, size = jax.jit(_asked(trained)), tuple(trained.facts['image']['image_size'])
  return [_seen(ask, trained, image, size, name) for name, image in images.items()]


def _asked(trained: Trained):
  """What is shown of one picture, from one program."""
  predict = trained.task.predict

  def ask(variables: Any, batch: Mapping[str, Array]) -> dict[str, Any]:
    out = predict['intermediates'](variables, batch)
    asked = {k: predict[k](variables, batch) for k in ('detections', 'candidates')}
    kept = {k: _survivors(found) for k, found in asked.items()}
    shown = dict(asked=asked, kept=kept)
    if 'cross_attention' in out:
      shown |= dict(
        query=_query(asked['detections']['boxes'][0], out['boxes'][0, -1], batch['size'][0]),
        decoder=jnp.stack(out['cross_attention'], 1)[0],
        encoder=jnp.stack(out['attention'], 1)[0] if out.get('attention') else None,
        grid=jnp.zeros(out['levels'][-1].shape[1:3]),
      )
    return shown

  return ask


def _survivors(found: Mapping[str, Array]) -> Array:
  """Which of a picture's answers non-maximum suppression leaves."""
  boxes, scores, classes = (found[key][0] for key in ('boxes', 'scores', 'classes'))
  there = jnp.where(classes >= 0, scores, -jnp.inf)
  index, kept = batched_nms(boxes, there, classes, OVERLAP, len(scores))
  return jnp.zeros(len(scores), bool).at[index].max(kept)


def _query(
  found: Float[Array, 'n 4'], boxes: Float[Array, 'q 4'], size: Int[Array, '2']
) -> Int[Array, ' n']:
  """The query whose box (its centre and sides, as shares of the picture's) each answer has."""
  boxes = clip(cxcywh_to_xyxy(boxes) * jnp.tile(size[::-1], 2), size)
  return jnp.abs(found[:, None] - boxes).sum(-1).argmin(1)


def _seen(ask, trained: Trained, image: np.ndarray, size: tuple[int, int], name: str) -> Seen:
  shape = fitted.canvas(image.shape[:2], size)
  batch = dict(image=fitted.pad(image, shape)[None], size=np.array([image.shape[:2]], np.int32))
  shown = jax.device_get(ask(trained.variables, batch))
  found, candidates = (
    _answers(shown['asked'][key], shown['kept'][key]) for key in ('detections', 'candidates')
  )
  look = None
  if 'query' in shown:
    grid = shown['grid'].shape
    encoder, decoder = (
      None if x is None else np.asarray(x, np.float32).reshape(*x.shape[:3], *grid)
      for x in (shown['encoder'], shown['decoder'])
    )
    there = shown['asked']['detections']['classes'][0] >= 0
    look = Look(shown['query'][there], decoder, encoder)
  return Seen(name, image, shape, found, candidates, look)


def _answers(found: Mapping[str, np.ndarray], kept: np.ndarray) -> Answers:
  boxes, scores, classes = (found[key][0] for key in ('boxes', 'scores', 'classes'))
  there = classes >= 0
  return Answers(boxes[there], scores[there], classes[there], kept[there])
