"""Prints the angle by which pictures are turned."""

import json
import os
import sys

import jax
import numpy as np

from vitlab.data import pictures
from vitlab.errors import UserError
from vitlab.predict import DEFAULTS, Options, Program
from vitlab.predict.inputs import find_images
from vitlab.predict.trained import Trained


def run(trained: Trained, paths: list[str], options: Options = DEFAULTS) -> None:
  """Prints a line for each picture: file, degrees counter-clockwise.

  Raises:
    UserError: no picture, none that can be read, an output that cannot be written.
  """
  if options.nbest > 1:
    raise UserError(f'--nbest={options.nbest}: an angle has one answer')
  files = find_images(paths)
  angle = jax.jit(trained.task.predict['angle'])
  lines = []
  for file in files:
    try:
      image = pictures.preprocess(file, **trained.facts['image'])
    except pictures.ImageError as error:
      print(f'cannot read {file}: {error}', file=sys.stderr)
      continue
    found = float(angle(trained.variables, dict(image=image[None]))[0])
    lines.append(dict(file=file, angle=round(found, 2)))
    print(f'{file}\t{found:+.1f}°')
  if not lines:
    raise UserError(f'none of {len(files)} files could be read: see above')
  _write(options.output, lines)


def exported(trained: Trained) -> Program:
  """uint8 images of the size in its facts -> degrees."""
  size, angle = trained.facts['image'], trained.task.predict['angle']
  return Program(
    lambda image: angle(trained.variables, dict(image=image)),
    jax.ShapeDtypeStruct((1, *size['image_size'], size['channels']), np.uint8),
    dict(image=size, unit='degrees, counter-clockwise'),
  )


def _write(output: str, lines: list[dict]) -> None:
  try:
    with open(output or os.devnull, 'w') as file:
      file.write(''.join(json.dumps(line) + '\n' for line in lines))
  except OSError as error:
    raise UserError(f'--output={output}: {error.strerror}: choose another file') from error
