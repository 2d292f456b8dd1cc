"""A page for lines of one's own: where each head of a language model looks in them."""

import logging
import pathlib
import sys
from collections.abc import Sequence

import numpy as np

from vitlab.errors import UserError
from vitlab.predict import Options, inputs
from vitlab.predict.language_model import Author
from vitlab.predict.trained import Trained
from vitlab.report import drawers, page
from vitlab.report.language_model import heads, sections
from vitlab.report.markup import Section, escape

_log = logging.getLogger(__name__)

MOST = 8  # lines on one page


def attention(trained: Trained, paths: Sequence[str], options: Options) -> None:
  """`write`, of what --mode=predict is given; prints where the page is."""
  print(write(trained, inputs.read_lines(paths), options.output))


def write(trained: Trained, lines: Sequence[str], output: str = '') -> pathlib.Path:
  """Writes a page with the attention of every layer and head in lines of text.

  Args:
    trained: The model.
    lines: Of text; of more than 8 the first are looked at, of a longer line its first 128 tokens.
    output: The page; by default attention.html in the workdir.

  Returns:
    The page.

  Raises:
    UserError: no line can be read; the model has no attention or no vocabulary;
      the output is not to be a page.
  """
  path = drawers.attention_path(trained, output)
  author = Author(trained)
  rows = _read(author, lines)
  if not rows:
    raise UserError('no line could be read: see above')
  most = min(heads.MOST, author.context)
  if len(rows) > MOST or max(map(len, rows)) > most:
    _log.warning('the page holds the first %d lines, of each %d tokens at most', MOST, most)
  rows = [row[:most] for row in rows[:MOST]]
  parts = _sections(trained, author, rows)
  lines_read = '1 line' if len(rows) == 1 else f'{len(rows)} lines'
  words = f'{lines_read}, read by <strong>{escape(trained.workdir)}</strong>.'
  scripts = drawers.scripts(drawers.of(trained.kind))
  return page.save(path, page.assemble('Attention', f'<p class="lead">{words}</p>', parts, scripts))


def _read(author: Author, lines: Sequence[str]) -> list[np.ndarray]:
  """Lines as tokens; those that cannot be read are named on standard error, empty ones left out."""
  rows = []
  for number, line in enumerate(lines, 1):
    try:
      (row,) = author.vocabulary.encode([line])
    except UserError as error:
      reason = str(error).replace('\n', ': ')
      print(f'line {number}: {reason}', file=sys.stderr)
      continue
    rows += [np.asarray(row, np.int32)] * (len(row) > 0)
  return rows


def _sections(trained: Trained, author: Author, rows: Sequence[np.ndarray]) -> list[Section]:
  """The measured roles of heads in all rows, and a text to point at for each."""
  width = max(map(len, rows)) + 1
  look = heads.looker(trained, heads.separators(author.vocabulary, np.concatenate(rows)))
  found = []
  for row in rows:
    room = (0, width - len(row))
    segments = np.pad(np.ones(len(row), np.int32), room)
    found.append(look(dict(tokens=np.pad(row, room)[None], segments=segments[None])))
  known = heads.roles(found)
  parts = [sections.roles(known)]
  for number, (row, (*_, weights)) in enumerate(zip(rows, found), 1):
    text = heads.Text(
      heads.written(author.vocabulary, row.tolist()), weights[0][:, :, : len(row), : len(row)]
    )
    parts.append(sections.glances(text, known, f'Line {number}'))
  return parts
