"""What a workdir says about its run: only its small files are read, never a checkpoint."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vitlab import metrics, tasks, workdir
from vitlab.errors import UserError


class Run(NamedTuple):
  """One workdir; a file that is missing or broken leaves its part empty.

  Attributes:
    name: The shortest end of its path that tells it from the other runs on the page.
    config: config.json.
    rows: metrics.jsonl, a dict per step ('step', 'train/loss', 'test/accuracy', ...); a value that
      was not finite is None.
    result: result.json, empty while the run has not finished.
    facts: facts.json of the data set (class names, ...).
    details: evaluator -> arrays (confusion matrix, calibration bins, mistakes, ...).
  """

  name: str
  config: Mapping[str, Any]
  rows: Sequence[Mapping[str, Any]]
  result: Mapping[str, Any]
  facts: Mapping[str, Any]
  details: Mapping[str, Mapping[str, np.ndarray]]

  @property
  def last(self) -> dict[str, Any]:
    """The newest value of every metric; those of the result where the run has finished."""
    newest = {key: row[key] for row in self.rows for key in row if key != 'step'}
    newest |= _mapping(self.result.get('metrics'))
    return {key: newest[key] for key in metrics.ordered(newest)}

  @property
  def kind(self) -> str:
    """The kind of learning: the name of its task; '' where config.json does not say."""
    task = _mapping(self.config.get('task'))
    return str(tasks.kind(task)) if task.get('name') else ''


def read(workdirs: Sequence[str | pathlib.Path]) -> list[Run]:
  """Reads workdirs; the same one given twice counts once.

  Raises:
    UserError: none is given, or one does not exist.
  """
  if not workdirs:
    raise UserError('a report needs a workdir: give one folder that a run wrote, or several')
  paths = list(dict.fromkeys(pathlib.Path(folder).resolve() for folder in workdirs))
  for path in paths:
    if not path.is_dir():
      raise UserError(f'no workdir {str(path)!r}: give folders that a run wrote')
  return [_read(path, name) for path, name in zip(paths, short_names(paths))]


def _read(path: pathlib.Path, name: str) -> Run:
  config, result, facts = (
    _mapping(workdir.read_json(path / file))
    for file in (workdir.CONFIG, workdir.RESULT, workdir.FACTS)
  )
  evaluators = sorted(file.stem for file in (path / workdir.DETAILS).glob('*.npz'))
  details = {evaluator: workdir.read_details(path, evaluator) for evaluator in evaluators}
  return Run(name, config, workdir.read_metrics(path), result, facts, details)


def _mapping(value: Any) -> dict[str, Any]:
  return value if isinstance(value, dict) else {}


def short_names(paths: Sequence[pathlib.Path]) -> list[str]:
  """The ends of different paths, as long as it takes to tell them apart."""
  depth = 1
  while True:
    names = ['/'.join(path.parts[-depth:]) for path in paths]
    if len(set(names)) == len(names):
      return names
    depth += 1
