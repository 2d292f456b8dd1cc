"""A trained detector at work: boxes drawn into pictures, as lines of JSON, or as COCO's results."""

import concurrent.futures
import functools
import logging
import os
import pathlib
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, UInt8

from vitlab import workdir
from vitlab.data import classes as classes_lib
from vitlab.data import fitted, pictures
from vitlab.data.annotations import in_file
from vitlab.errors import UserError
from vitlab.lines import aligned, visible
from vitlab.ops.answers import surest
from vitlab.ops.boxes import Detections
from vitlab.predict import DEFAULTS, Options, Program
from vitlab.predict.found import Found, sink
from vitlab.predict.inputs import find_images
from vitlab.predict.trained import Trained
from vitlab.pretrained import About, coco_classes

TAKES = ('threshold', 'nms')  # of the options
BATCH_SIZE = 8  # pictures of one shape that are seen at once
CHUNK = 64  # files that are read at once
USUAL = 0.5  # score of a run that nothing is known of

_log = logging.getLogger(__name__)

Seen = tuple[UInt8[np.ndarray, '_h _w c'], fitted.Size]  # what the model sees; size of the file's


class Detector:
  """A trained detector, for files of any sizes.

  Args:
    trained: The model.
    nms: Overlap of two boxes of a class above which the less sure one is left out, of all that the
      model answers before its own suppression; None: what the model does by itself.
  """

  def __init__(self, trained: Trained, nms: float | None = None):
    self._image, self._variables = fitting(trained.facts['image']), trained.variables
    candidates, detections = (trained.task.predict[k] for k in ('candidates', 'detections'))
    self._detect = jax.jit(
      detections if nms is None else lambda *given: _suppressed(candidates(*given), nms)
    )

  def __call__(self, files: Sequence[str], threshold: float = 0.0) -> Iterator[Found]:
    """What is found in files, one after the other; one that cannot be read gets an error instead.

    A program is compiled for each padded shape.

    Args:
      files: Of pictures.
      threshold: Lowest score.
    """
    rows = min(BATCH_SIZE, len(files))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
      for start in range(0, len(files), CHUNK):
        part = files[start : start + CHUNK]
        seen = list(pool.map(self._read, part))
        found = dict(self._found(seen, rows))
        for i, (file, one) in enumerate(zip(part, seen)):
          if isinstance(one, str):
            yield Found(file, error=one)
          else:
            yield _in_file(file, one, found[i], threshold)

  def _read(self, file: str) -> Seen | str:
    """The picture as the model sees it, or why there is none."""
    try:
      return pictures.fit(file, name=file, **self._image)
    except pictures.ImageError as error:
      return str(error).partition('\n')[0]

  def _found(
    self, seen: Sequence[Seen | str], rows: int
  ) -> Iterator[tuple[int, Mapping[str, np.ndarray]]]:
    """Number of a picture, and what is found in it: in batches of one shape and one size."""
    alike = defaultdict(list)
    for i, one in enumerate(seen):
      if not isinstance(one, str):
        alike[fitted.canvas(one[1], self._image['image_size'])].append(i)
    for shape, numbers in alike.items():
      for start in range(0, len(numbers), rows):
        part = numbers[start : start + rows]
        images = [seen[i][0] for i in part]
        found = jax.device_get(self._detect(self._variables, _batch(images, shape, rows)))
        for row, i in enumerate(part):
          yield i, {key: column[row] for key, column in found.items()}


def run(trained: Trained, paths: Sequence[str], options: Options = DEFAULTS) -> None:
  """Prints a table of what is found and draws it into pictures or writes it into a file.

  Files that cannot be read are named on standard error; the others go on.

  Args:
    trained: The model.
    paths: Picture files and folders of them.
    options: `output` is a folder for pictures with boxes, by default predictions in the workdir; a
      file x.jsonl for lines of JSON; a file x.json for COCO's results. `threshold` is the lowest
      score, by default 0 of COCO's results, which are to be measured, else that at which the last
      evaluation found the best f1. `nms`: see `Detector`.

  Raises:
    UserError: as `find_images` and `sink`; no file can be read.
  """
  if options.nbest > 1:
    raise UserError(f'--nbest={options.nbest}: {trained.workdir!r} finds objects; see --threshold')
  output = options.output or str(pathlib.Path(trained.workdir) / 'predictions')
  files, threshold = find_images(paths), options.threshold
  if threshold is None:
    threshold = 0.0 if output.endswith('.json') else best_score(trained)
  table, names = [('file', 'objects', 'of')], trained.facts['class_names']
  with sink(output, files, names, trained.facts['class_ids']) as write:
    for one in Detector(trained, options.nms)(files, threshold):
      write(one)
      if one.error:
        print(visible(f'cannot read {one.given}: {one.error}'), file=sys.stderr)
      else:
        table.append(_summary(one, names))
  if len(table) == 1:
    raise UserError(f'none of {len(files)} files could be read: see above')
  print(aligned(table, right=(1,)))
  print('\n' + visible(f'{output}: scores of {threshold:.3g} or more (--threshold)'))


def best_score(trained: Trained) -> float:
  """The score from which on the last evaluation found the best f1; 0.5 where there is none."""
  for name, spec in trained.config.evaluators.items():
    if spec.name == 'average_precision':
      score = workdir.read_details(pathlib.Path(trained.workdir), name).get('score', np.inf)
      if np.isfinite(score):
        return float(score)
  return USUAL


def exported(trained: Trained) -> Program:
  """The detector as a program: uint8 images of the largest padded shape, int32 (height, width) of
  what is no padding in each -> 'boxes', left, top, right, bottom, 'scores' and 'classes', -1 in
  empty rows.
  """
  image = fitting(trained.facts['image'])
  shape = fitted.shapes(image['image_size'])[-1]
  detect = trained.task.predict['detections']
  return Program(
    lambda image, size: detect(trained.variables, dict(image=image, size=size)),
    (
      jax.ShapeDtypeStruct((1, *shape, image['channels']), np.uint8),
      jax.ShapeDtypeStruct((1, 2), np.int32),
    ),
    {key: trained.facts[key] for key in ('class_names', 'class_ids', 'image')},
  )


def published(
  path: str, about: About, overrides: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Task and facts of a published detector.

  Where no file names the classes, and they are as many as detectors of COCO have, they are COCO's.

  Args:
    path: Where the weights are.
    about: What travels with them.
    overrides: Changes of the command line to the task.

  Raises:
    UserError: the weights have no heads.
  """
  del overrides
  count, prepared = about.spec['num_classes'], about.preprocessing
  if count is None:
    raise UserError(f'{path}: these weights have no heads: fine-tune them with init_from')
  names, ids = about.class_names, range(count)
  if coco_classes.are(names, count):
    if not names:
      _log.warning('%s: no file beside them names the classes: assumed those of COCO', path)
    names, ids = coco_classes.names(count), coco_classes.ids(count)
  facts = dict(
    num_classes=count,
    class_names=list(names) or [classes_lib.placeholder(i) for i in range(count)],
    class_ids=list(ids),
    max_objects=1,
    image=fitting(prepared.image()) | dict(resize='fit'),
  )
  fill = about.keywords().get('fill')
  return dict(name='detection', mean=prepared.mean, std=prepared.std, fill=fill), facts


def fitting(image: Mapping[str, Any]) -> dict[str, Any]:
  """The arguments of `pictures.fit`, of what a data set's facts say of its pictures."""
  known = ('channels', 'interpolation')
  return dict(image_size=tuple(image['image_size'])) | {k: image[k] for k in known if k in image}


def _batch(images: Sequence[np.ndarray], shape: fitted.Size, rows: int) -> dict[str, np.ndarray]:
  """Pictures in one padded shape, and as many again as there are rows: one shape, one program."""
  images = [images[min(i, len(images) - 1)] for i in range(rows)]
  size = np.array([image.shape[:2] for image in images], np.int32)
  return dict(image=np.stack([fitted.pad(image, shape) for image in images]), size=size)


def _suppressed(found: Mapping[str, Array], threshold: float) -> dict[str, Array]:
  """Answers without those that overlap a surer one of their class by more than the threshold."""

  count = found['scores'].shape[1]
  suppress = functools.partial(surest, count=count, candidates=count, iou_threshold=threshold)
  return jax.vmap(suppress)(*(found[key] for key in Detections._fields))._asdict()


def _in_file(file: str, seen: Seen, found: Mapping[str, np.ndarray], threshold: float) -> Found:
  """What is found, in pixels of the file's picture."""
  kept = (found['classes'] >= 0) & (found['scores'] >= threshold)
  boxes = in_file(found['boxes'][kept], np.array(seen[0].shape[:2]), seen[1])
  return Found(file, seen[1], boxes, found['scores'][kept], found['classes'][kept])


def _summary(found: Found, names: Sequence[str]) -> tuple[str, str, str]:
  counts = Counter(names[number] for number in found.classes.tolist())
  said = ', '.join(f'{name} ({n})' if n > 1 else name for name, n in counts.most_common())
  return found.given, str(len(found.classes)), said
