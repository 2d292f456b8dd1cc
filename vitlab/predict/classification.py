"""A trained classifier at work, from its workdir alone: labels image files, becomes one file."""

import concurrent.futures
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from vitlab.data import classes, pictures
from vitlab.errors import UserError
from vitlab.lines import visible
from vitlab.predict import DEFAULTS, Options, Program
from vitlab.predict import labels as labels_lib
from vitlab.predict.inputs import find_images
from vitlab.predict.labels import Label
from vitlab.predict.output import open_output
from vitlab.predict.trained import Trained
from vitlab.pretrained import About

_log = logging.getLogger(__name__)

BATCH_SIZE = 64


def label(trained: Trained, files: Sequence[str]) -> Iterator[Label]:
  """Labels files one after the other; one that cannot be read gets an error instead of classes.

  Raises:
    UserError: the task of the model does not classify images.
  """
  classify = jax.jit(trained.task.predict['probabilities'])
  names = trained.facts['class_names']
  size = min(BATCH_SIZE, len(files))
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    for start in range(0, len(files), size):
      part = files[start : start + size]
      read = list(pool.map(lambda file: _read(file, trained.facts['image']), part))
      good = [image for image in read if isinstance(image, np.ndarray)]
      # One shape, one compilation: the rest of the batch is filled up and dropped again.
      batch = np.zeros((size, *(good[0].shape if good else ())), np.uint8)
      batch[: len(good)] = good
      rows = iter(np.asarray(classify(trained.variables, {'image': batch})) if good else ())
      for file, image in zip(part, read):
        if isinstance(image, str):
          yield Label(file, (), image)
        else:
          yield Label(file, labels_lib.top(next(rows), names))


def run(trained: Trained, paths: Sequence[str], options: Options = DEFAULTS) -> None:
  """Prints a table of labels and, if asked for, writes them as JSON lines.

  Files that cannot be read are named on standard error; the others go on.

  Args:
    trained: The model.
    paths: Image files and folders of them.
    options: Flags; the JSON lines go to `output`.

  Raises:
    UserError: as `find_images` and `label`; no file can be read; the output cannot be written.
  """
  if options.nbest > 1:
    raise UserError(f'--nbest={options.nbest}: {trained.workdir!r} holds no model of sentences')
  output, files = options.output, find_images(paths)
  with open_output(output) as lines:
    labels = []
    for one in label(trained, files):
      lines.write(json.dumps(labels_lib.as_json(one, dict(file=one.given))) + '\n')
      if one.error:
        print(visible(f'cannot read {one.given}: {one.error}'), file=sys.stderr)
      else:
        labels.append(one)
  if not labels:
    raise UserError(f'none of {len(files)} files could be read: see above')
  print(labels_lib.table(labels, 'file'))


def exported(trained: Trained) -> Program:
  """The classifier as a program: uint8 images of the size in its facts -> probabilities."""
  size = trained.facts['image']
  classify = trained.task.predict['probabilities']
  return Program(
    lambda image: classify(trained.variables, {'image': image}),
    jax.ShapeDtypeStruct((1, *size['image_size'], size['channels']), np.uint8),
    {'class_names': trained.facts['class_names'], 'image': size},
  )


def published(
  path: str, about: About, overrides: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Task and facts of a published classifier.

  Args:
    path: Where the weights are.
    about: What travels with them.
    overrides: Changes of the command line to the task.

  Raises:
    UserError: the weights have no classifier.
  """
  del overrides
  count, prepared = about.spec['num_classes'], about.preprocessing
  if count is None:
    raise UserError(f'{path}: these weights have no classifier: fine-tune them with init_from')
  facts = dict(
    num_classes=count,
    class_names=list(about.class_names) or [classes.placeholder(i) for i in range(count)],
    image=prepared.image(),
  )
  return dict(name='classification', num_classes=None, mean=prepared.mean, std=prepared.std), facts


def _read(file: str, arguments: Mapping[str, Any]) -> np.ndarray | str:
  """The image, or why there is none."""
  try:
    return pictures.preprocess(file, **arguments)
  except pictures.ImageError as error:
    return str(error).partition('\n')[0]
