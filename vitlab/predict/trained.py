"""A trained model at hand: the checkpoint of a run, or published weights, with its task."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from vitlab import config as config_lib
from vitlab import pretrained, registry, tasks, workdir
from vitlab.cli import config_file
from vitlab.errors import UserError
from vitlab.predict import find
from vitlab.tasks import Task, Variables
from vitlab.train import setup
from vitlab.train import weights as weights_lib
from vitlab.workdir import model as model_lib

_log = logging.getLogger(__name__)

# What of its config a trained model still asks, beside its task.
FREE_KEYS = ('model.dtype', 'checkpoint.best', 'checkpoint.best_mode')


class Trained(NamedTuple):
  """What a finished or running training has left so far.

  Attributes:
    workdir: Where it was found.
    step: Of the checkpoint.
    config: Of the run.
    facts: Of its data set.
    task: With the model inside.
    variables: On the default device; the averages where the run keeps them.
  """

  workdir: str
  step: int
  config: ConfigDict
  facts: Mapping[str, Any]
  task: Task
  variables: Variables

  @property
  def kind(self) -> str:
    """The kind of learning; see `vitlab.tasks.kind`."""
    return tasks.kind(self.config.task)


def load(
  folder: str,
  overrides: Sequence[str] = (),
  average: int = 0,
  weights: weights_lib.Weights | None = None,
) -> Trained:
  """The best checkpoint of a run, by its `checkpoint.best`, else the newest good one.

  Or published weights: a file or folder that `vitlab.pretrained.read` knows.

  Args:
    folder: Of the run or the weights.
    overrides: Changes to the config of the run: '--config.task.search=beam,beams=8'.
    average: The mean of the last so many checkpoints instead, as in arXiv:1706.03762, section 6.1.
    weights: The published weights of the folder, where they have been read.

  Raises:
    UserError: there is none, or not as many; it does not fit the stored config; a change that
      would have no effect, or give another model.
  """
  if weights_lib.is_published(folder):
    if average:
      raise UserError(
        f'--average={average}: {folder!r} holds weights, not the checkpoints of a run'
      )
    return _published(folder, weights or weights_lib.find(folder), overrides)
  config = workdir.stored_config(folder)
  _override(config, overrides)
  step, facts, variables = model_lib.load(folder, config, average)
  return Trained(folder, step, config, facts, setup.make_task(config, facts), variables)


def _override(config: ConfigDict, overrides: Sequence[str]) -> None:
  """Changes the config of a model that is trained, where that has an effect."""
  config_file.override(config, overrides)
  for text in overrides:
    key = text.partition('=')[0].partition('config.')[2]
    if not key.startswith('task.') and key not in FREE_KEYS:
      why = 'would be another model' if key.startswith('model.') else 'has no effect'
      raise UserError(
        f'{text} {why}: this one is trained\npossible are task.KEY, {", ".join(FREE_KEYS)}'
      )


def _published(path: str, weights: weights_lib.Weights, overrides: Sequence[str]) -> Trained:
  """A model with nothing but what travels with its weights."""
  spec, config = weights.about.spec, config_lib.base()
  config.model, kind = dict(spec), pretrained.kind(spec)
  find_task = find(kind, 'published', 'published weights')
  config.task, facts = find_task(path, weights.about, overrides)
  _override(config, overrides)
  task = setup.make_task(config, facts)
  example = registry.module('tasks', kind).example(facts)
  batch = {key: jax.ShapeDtypeStruct((1, *x.shape), x.dtype) for key, x in example.items()}
  like = jax.eval_shape(task.init, jax.random.key(0), batch)
  variables = {'model': jax.tree.map(jnp.asarray, weights.load(like['model']))}
  return Trained(path, 0, config.lock(), facts, task, variables)
