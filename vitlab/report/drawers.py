"""What a page shows of one kind of learning only: `vitlab/report/<task>`, named as the task is.

A drawer, a file or a folder, has two functions, and may have more:

  parts(run, seen) -> sections       of the page of one run
  compared(runs, seen) -> sections   of the page of several
  collect(workdirs) -> seen          one thing a run: what needs its checkpoint and its data
  glimpse(seen) -> text              what a terminal shows of that thing when a training has ended
  attention(trained, paths, options) the page of --mode=predict --attention, and what else it prints
  SCRIPTS                            paths from its folder of what draws its figures: for each
                                     `markup.figure('name', data)` a `function name(figure, data)`

A kind of learning without a drawer has the general page: results, curves, config, provenance.
"""

import pathlib
from collections.abc import Sequence
from types import ModuleType

from vitlab import registry
from vitlab.errors import UserError
from vitlab.predict import Options
from vitlab.predict.trained import Trained
from vitlab.report.run import Run


def find(runs: Sequence[Run]) -> ModuleType | None:
  """The drawer of the kind of learning that the runs have in common, if there is one."""
  kinds = {run.kind for run in runs} - {''}
  return of(kinds.pop()) if len(kinds) == 1 else None


def of(kind: str) -> ModuleType | None:
  """The drawer of a kind of learning, if it has one."""
  found = registry.module('report', kind) if kind in registry.names('report') else None
  return found if hasattr(found, 'parts') else None


def scripts(drawer: ModuleType | None) -> list[pathlib.Path]:
  """The files that draw the figures of a drawer."""
  beside = pathlib.Path(getattr(drawer, '__file__', '')).parent
  return [beside / name for name in getattr(drawer, 'SCRIPTS', ())]


def attention_path(trained: Trained, output: str = '') -> pathlib.Path:
  """Where the page of `attention` goes.

  Args:
    trained: The model.
    output: The page; '' for attention.html in its workdir.

  Raises:
    UserError: the output is not to be a page.
  """
  path = pathlib.Path(output or pathlib.Path(trained.workdir) / 'attention.html')
  if path.suffix.lower() not in ('.html', '.htm'):
    raise UserError(f'--attention writes a page: --output={output} does not end in .html')
  return path


def attention(trained: Trained, paths: Sequence[str], options: Options) -> None:
  """Writes the page of what a model looks at, as its kind of learning does.

  Raises:
    UserError: its kind has no such page.
  """
  drawer = of(trained.kind)
  if not hasattr(drawer, 'attention'):
    raise UserError(f'--attention: runs of the task {trained.kind!r} have no such page')
  drawer.attention(trained, paths, options)
