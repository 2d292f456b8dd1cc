"""The report: one self-contained page for a run, or for several side by side.

The page asks the network for nothing (its content security policy forbids it), follows the reader's
light or dark setting and reads from a phone to a wide screen. What a run does not have is left out,
with a line at the end that says so.
"""

import logging
import os
import pathlib
import string
from collections.abc import Callable, Sequence
from typing import Any

from vitlab import workdir
from vitlab.errors import UserError
from vitlab.report import comparison, drawers, sections
from vitlab.report import run as run_lib
from vitlab.report.markup import Section, breakable, escape

_log = logging.getLogger(__name__)

_SHARED = ('curves.js', 'columns.js')  # figures of every kind of learning


def report(
  workdirs: Sequence[str | pathlib.Path],
  output: str | pathlib.Path | None = None,
  tell: Callable[[str], None] | None = None,
) -> pathlib.Path:
  """`write`, with what a drawer collects of checkpoints and data, where they are at hand.

  Args:
    workdirs: As `write`.
    output: As `write`.
    tell: Given a glimpse of the first run, where its drawer has one.
  """
  runs = run_lib.read(workdirs)  # refuses what is not there before any work is done
  drawer, seen = drawers.find(runs), []
  try:
    if hasattr(drawer, 'collect'):
      seen = drawer.collect(workdirs)
    if tell and seen and hasattr(drawer, 'glimpse') and (text := drawer.glimpse(seen[0])):
      tell(text)
  except Exception as error:  # what is left of the page is worth having, whatever went wrong
    _log.warning('the report goes without pictures: %s', error)
  return write(workdirs, output, seen)


def write(
  workdirs: Sequence[str | pathlib.Path],
  output: str | pathlib.Path | None = None,
  seen: Sequence[Any] = (),
) -> pathlib.Path:
  """Builds the page of a run, or a comparison of several, from the small files of their workdirs.

  Args:
    workdirs: Folders of runs, finished or not.
    output: The page. Default: report.html in the workdir; for several, comparison.html beside the
      first one.
    seen: What `collect` of their drawer found, of each run; see `vitlab.report.drawers`.

  Returns:
    The path of the page, which is replaced in one step.

  Raises:
    UserError: no workdir is given or one does not exist.
  """
  runs = run_lib.read(workdirs)
  first = pathlib.Path(workdirs[0])
  if output is None:
    output = first / workdir.REPORT if len(runs) == 1 else first.parent / 'comparison.html'
  return save(output, build(runs, seen))


def save(output: str | pathlib.Path, text: str) -> pathlib.Path:
  """Writes a page, in one step; makes the folder.

  Raises:
    UserError: it cannot be written there.
  """
  output = pathlib.Path(output)
  beside = output.with_name(output.name + '.tmp')
  try:
    output.parent.mkdir(parents=True, exist_ok=True)
    beside.write_text(text, encoding='utf-8')
    os.replace(beside, output)
  except OSError as error:
    raise UserError(
      f'the page {str(output)!r} cannot be written: {error.strerror}: give another --output'
    ) from error
  return output


def build(runs: Sequence[run_lib.Run], seen: Sequence[Any] = ()) -> str:
  """The page of runs as text."""
  scripts = drawers.scripts(drawers.find(runs))
  if len(runs) == 1:
    parts = sections.one(runs[0], seen[0] if seen else None)
    return assemble(runs[0].name, sections.summary(runs[0]), parts, scripts)
  parts = comparison.several(runs, seen)
  return assemble(f'{len(runs)} runs', comparison.summary(runs), parts, scripts)


def assemble(
  title: str,
  head: str,
  parts: Sequence[Section],
  scripts: Sequence[pathlib.Path] = (),
  styles: Sequence[pathlib.Path] = (),
) -> str:
  """A page of parts; a line at the end names those that are empty.

  Args:
    title: Its name.
    head: What stands below it, HTML.
    parts: What follows.
    scripts: Files that draw its figures, besides the curves and columns of every page.
    styles: Files with rules of style, besides those of every page.
  """
  present = [part for part in parts if part.body]
  absent = ''.join(f'<li>{escape(p.title)}: {escape(p.note)}</li>' for p in parts if not p.body)
  return string.Template(_file('page.html')).substitute(
    title=escape(title),
    heading=breakable(title),
    head=head,
    links=''.join(f'<a href="#{part.anchor}">{escape(part.title)}</a>' for part in present),
    sections='\n'.join(part.html() for part in present),
    absent=f'<p>Not in this report:</p><ul>{absent}</ul>' if absent else '',
    css=_file('page.css') + ''.join(map(_read, styles)),
    js=''.join([*map(_file, _SHARED), *map(_read, scripts), _file('page.js')]),
  )


def _file(name: str) -> str:
  return _read(pathlib.Path(__file__).with_name(name))


def _read(path: pathlib.Path) -> str:
  return path.read_text(encoding='utf-8')
