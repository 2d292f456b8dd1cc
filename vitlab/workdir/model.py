"""What a run has left of its model: its config, the facts of its data, its variables."""

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from vitlab.errors import UserError
from vitlab.tasks import Variables, averaged, without_rows
from vitlab.workdir.checkpoint import Checkpoints, Restored
from vitlab.workdir.files import CHECKPOINTS, FACTS, read_json


def is_run(path: str) -> bool:
  """Whether this is the workdir of a training, and not a file or folder of published weights."""
  folder = pathlib.Path(path)
  return folder.is_dir() and any((folder / name).exists() for name in (FACTS, CHECKPOINTS))


def load(
  folder: str, config: ConfigDict, average: int = 0
) -> tuple[int, Mapping[str, Any], Variables]:
  """The best checkpoint of a run, by `checkpoint.best` of a config, else the newest good one.

  Args:
    folder: The workdir.
    config: As `workdir.stored_config`, perhaps with changes.
    average: How many of the last checkpoints to take the mean of, as in arXiv:1706.03762, section
      6.1; 0 for the best alone.

  Returns:
    The step of the checkpoint, the facts of the data set, and the variables on the default device:
    the averages where the run keeps them, and no memory of the rows of its batches.

  Raises:
    UserError: there is no checkpoint, or there are not as many.
  """
  checkpoints = Checkpoints(
    pathlib.Path(folder) / CHECKPOINTS,
    best=config.checkpoint.best,
    best_mode=config.checkpoint.best_mode,
    read_only=True,
  )
  steps = checkpoints.steps()[-average:] if average else [checkpoints.best()]
  restored = [checkpoints.restore_arrays(('variables', 'ema'), number) for number in steps]
  if not restored or None in restored:
    raise UserError(f'workdir {folder!r} holds no checkpoint yet: train first: --mode=train')
  if len(restored) < average:
    raise UserError(
      f'--average={average}: workdir {folder!r} holds {len(restored)} checkpoints'
      f'\ntrain with --config.checkpoint.keep={average}, or average fewer'
    )
  # Every checkpoint has the facts too.
  facts = read_json(pathlib.Path(folder) / FACTS) or restored[-1].meta['facts']
  return restored[-1].step, facts, _mean([_variables(one) for one in restored])


def moments(folder: str, most: int) -> Iterator[tuple[int, Variables]]:
  """The variables of a run at the checkpoints that are kept, evenly spaced, the last among them.

  Args:
    folder: The workdir.
    most: How many of them.

  Yields:
    The step, and the averages where the run keeps them.
  """
  checkpoints = Checkpoints(pathlib.Path(folder) / CHECKPOINTS, read_only=True)
  steps = checkpoints.steps()
  places = np.linspace(len(steps) - 1, 0, min(most, len(steps))).round().astype(int)
  for step in sorted(steps[place] for place in places):
    try:
      found = checkpoints.restore_arrays(('variables', 'ema'), step)
    except UserError:  # damaged, or deleted meanwhile by a run that goes on: the others will do
      continue
    yield step, jax.tree.map(jnp.asarray, _variables(found))


def _variables(found: Restored) -> Variables:
  """What a checkpoint evaluates: the averages where there are any, and no memory of rows."""
  return without_rows(averaged(found.state['variables'], found.state['ema']))


def _mean(trees: Sequence[Variables]) -> Variables:
  """The mean of parameters and statistics; integers are those of the last."""

  def mean(*leaves: Any) -> jax.Array:
    if len(leaves) == 1 or not jnp.issubdtype(leaves[-1].dtype, jnp.floating):
      return jnp.asarray(leaves[-1])
    return jnp.asarray(
      sum(leaf.astype(np.float64) for leaf in leaves) / len(leaves), leaves[-1].dtype
    )

  return jax.tree.map(mean, *trees)
