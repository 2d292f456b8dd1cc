"""A page for images of one's own: what a model says about them and what that rests on."""

import logging
import pathlib
import sys
from collections.abc import Sequence

import numpy as np

from vitlab.data import pictures as pictures_lib
from vitlab.errors import UserError
from vitlab.lines import visible
from vitlab.predict import Options, inputs
from vitlab.predict import labels as labels_lib
from vitlab.predict.trained import Trained
from vitlab.report import drawers, page
from vitlab.report.classification import bias, gallery, pictures
from vitlab.report.classification.look import looker, reads
from vitlab.report.classification.pictures import Picture, Pictures
from vitlab.report.markup import escape

_log = logging.getLogger(__name__)

MOST = 32  # images on one page


def attention(trained: Trained, paths: Sequence[str], options: Options) -> None:
  """`write`, of what --mode=predict is given; prints where the page is."""
  print(write(trained, paths, options.output))


def write(trained: Trained, paths: Sequence[str], output: str = '') -> pathlib.Path:
  """Prints the labels of image files and writes a page with what the model looks at in them.

  Files that cannot be read are named on standard error; the others go on.

  Args:
    trained: The model.
    paths: Image files and folders of them; of more than 32 the first are looked at.
    output: The page; by default attention.html in the workdir.

  Returns:
    The page.

  Raises:
    UserError: no image is found or can be read; the model does not classify images or has no
      attention over them; the output is not to be a page.
  """
  path = drawers.attention_path(trained, output)
  files = inputs.find_images(paths)
  if len(files) > MOST:
    _log.warning('the page holds the first %d of %d images', MOST, len(files))
  labels, seen = _look(trained, files[:MOST])
  if not seen:
    raise UserError(f'none of {len(files)} files could be read: see above')
  print(labels_lib.table(labels, 'file'))
  windows = [layer.window for layer in seen[0].look.layers]
  found = Pictures((), seen, reads(trained), bias.tables(trained, windows))
  words = f'{len(seen)} images, seen by <strong>{escape(trained.workdir)}</strong>.'
  parts = gallery.parts(found, trained.facts['class_names'])
  scripts = drawers.scripts(drawers.of(trained.kind))
  return page.save(path, page.assemble('Attention', f'<p class="lead">{words}</p>', parts, scripts))


def _look(trained: Trained, files: Sequence[str]) -> tuple[list[labels_lib.Label], list[Picture]]:
  look_at, names = looker(trained), trained.facts['class_names']
  labels, seen = [], []
  for file in files:
    try:
      image = pictures_lib.preprocess(file, **trained.facts['image'])
    except pictures_lib.ImageError as error:
      reason = str(error).partition('\n')[0]
      print(visible(f'cannot read {file}: {reason}'), file=sys.stderr)
      continue
    one = pictures.attend(look_at, {'image': image}, len(seen))
    if not one.look.layers:
      raise UserError(
        'the model has no attention over the image: --mode=report shows its saliency and occlusion'
      )
    top = labels_lib.top(np.asarray(one.look.probabilities), names)
    labels.append(labels_lib.Label(file, top))
    seen.append(one._replace(name=pathlib.Path(file).name))
  return labels, seen
