"""A page for pictures of one's own: where a detector with queries looks, and what would go."""

import logging
import pathlib
import sys
from collections.abc import Sequence

from vitlab.data import pictures
from vitlab.errors import UserError
from vitlab.lines import visible
from vitlab.predict import Options, inputs
from vitlab.predict.detection import best_score, fitting
from vitlab.predict.trained import Trained
from vitlab.report import drawers, page
from vitlab.report.detection import collected, sections
from vitlab.report.markup import escape

_log = logging.getLogger(__name__)

MOST = 12  # pictures on one page


def attention(trained: Trained, paths: Sequence[str], options: Options) -> None:
  """`write`, of what --mode=predict is given; prints where the page is.

  Raises:
    UserError: as `write`, and for --nms.
  """
  if options.nms is not None:
    raise UserError(
      f'--nms={options.nms} does not go with --attention: its page shows what queries find and '
      'what suppression would remove'
    )
  print(write(trained, paths, options.output, options.threshold))


def write(
  trained: Trained, paths: Sequence[str], output: str = '', threshold: float | None = None
) -> pathlib.Path:
  """Writes a page with what a detector looks at in picture files.

  Files that cannot be read are named on standard error; the others go on.

  Args:
    trained: The model.
    paths: Picture files and folders of them; of more than 12 the first are looked at.
    output: The page; by default attention.html in the workdir.
    threshold: Lowest score that counts; by default that of the best F1 of the last evaluation.

  Returns:
    The page.

  Raises:
    UserError: no picture is found or can be read; the model has no queries; the output is not to
      be a page.
  """
  path = drawers.attention_path(trained, output)
  files = inputs.find_images(paths)
  if len(files) > MOST:
    _log.warning('the page holds the first %d of %d pictures', MOST, len(files))
  images, how = {}, fitting(trained.facts['image'])
  for file in files[:MOST]:
    name = pathlib.Path(file).name
    try:
      images[file if name in images else name], _ = pictures.fit(file, name=file, **how)
    except pictures.ImageError as error:
      reason = str(error).partition('\n')[0]
      print(visible(f'cannot read {file}: {reason}'), file=sys.stderr)
  if not images:
    raise UserError(f'none of {len(files)} files could be read: see above')
  seen = collected.look(trained, images)
  if not any(one.look for one in seen):
    raise UserError('the model has no object queries: --mode=predict draws what it finds')
  score = best_score(trained) if threshold is None else threshold
  parts = sections.looked(seen, trained.facts['class_names'], score)
  words = f'{len(seen)} pictures, seen by <strong>{escape(trained.workdir)}</strong>.'
  scripts = drawers.scripts(drawers.of(trained.kind))
  return page.save(path, page.assemble('Attention', f'<p class="lead">{words}</p>', parts, scripts))
