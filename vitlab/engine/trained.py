"""A trained model from its workdir: to use it without its data set, or to evaluate it on it."""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from vitlab import config as config_lib
from vitlab import pretrained
from vitlab.data import _tokenizer
from vitlab.engine import config_file, progress, step, workdir
from vitlab.engine import evaluate as evaluate_lib
from vitlab.engine import experiment as experiment_lib
from vitlab.engine.checkpoint import Checkpoints
from vitlab.errors import UserError
from vitlab.tasks import Task, Variables


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


def is_run(path: str) -> bool:
  """Whether this is the workdir of a training, and not a file or folder of published weights."""
  folder = pathlib.Path(path)
  kept = (workdir.FACTS, workdir.CHECKPOINTS)
  return folder.is_dir() and any((folder / name).exists() for name in kept)


def is_published(path: str) -> bool:
  """Whether this is a file or folder of published weights."""
  return not is_run(path) and pretrained.holds_weights(path)


def load(folder: str) -> Trained:
  """The best checkpoint of a run, by its `checkpoint.best`, else the newest good one.

  Or published weights: a file or folder that `vitlab.pretrained.read` knows.

  Raises:
    UserError: there is none, or it does not fit the stored config.
  """
  if is_published(folder):
    return _published(folder)
  config = config_file.stored(folder)
  facts = workdir.read_json(pathlib.Path(folder) / workdir.FACTS)
  checkpoints = Checkpoints(
    pathlib.Path(folder) / workdir.CHECKPOINTS,
    best=config.checkpoint.best,
    best_mode=config.checkpoint.best_mode,
    read_only=True,
  )
  restored = checkpoints.restore_arrays(('variables', 'ema'), checkpoints.best())
  if restored is None or facts is None:
    raise UserError(f'workdir {folder!r} holds no checkpoint yet: train first: --mode=train')
  stored = step.State(restored.step, restored.state['variables'], {}, restored.state['ema'])
  variables = jax.tree.map(jnp.asarray, stored.averaged())
  task = experiment_lib.make_task(config, facts)
  return Trained(folder, restored.step, config, facts, task, variables)


def _published(path: str) -> Trained:
  """A model with nothing but what travels with its weights."""
  weights = pretrained.read(path)
  config = config_lib.base()
  config.model = dict(weights.about.spec)
  if config.model.get('num_classes', 'a model of sentences') is None:
    raise UserError(f'{path}: these weights have no classifier: fine-tune them with init_from')
  known = _translator if weights.about.preprocessing is None else _classifier
  config.task, facts, batch = known(weights.about)
  task = experiment_lib.make_task(config, facts)
  like = jax.eval_shape(task.init, jax.random.key(0), batch)
  variables = {'model': jax.tree.map(jnp.asarray, weights.load(like['model']))}
  return Trained(path, 0, config.lock(), facts, task, variables)


def _classifier(about: pretrained.About) -> tuple[Any, Any, Any]:
  """Task, facts and the shapes of a batch of pictures."""
  count, pictures = about.spec['num_classes'], about.preprocessing
  facts = dict(
    num_classes=count,
    class_names=list(about.class_names) or [f'class {i}' for i in range(count)],
    image=pictures.image(),
  )
  shape = (1, *pictures.image_size, pictures.channels)
  task = dict(name='classification', num_classes=None, mean=pictures.mean, std=pictures.std)
  return task, facts, {'image': jax.ShapeDtypeStruct(shape, jnp.uint8)}


def _translator(about: pretrained.About) -> tuple[Any, Any, Any]:
  """Task, facts and the shapes of a batch of sentences."""
  facts = dict(vocab_size=about.spec['vocab_size'], vocabulary=list(about.vocabulary))
  sentence = jax.ShapeDtypeStruct((1, 1), jnp.int32)
  return dict(name='translation'), facts, dict(tokens=sentence, targets=sentence)


def evaluate(folder: str, config: ConfigDict, output: str = '') -> dict[str, float]:
  """Runs the evaluators of a config on a trained model and prints what they find.

  Args:
    folder: The workdir.
    config: That of the run, or one with other data, evaluators, batch size or mesh.
    output: A JSON file for the metrics; '' for none.

  Returns:
    '<evaluator>/<metric>' -> value.

  Raises:
    UserError: as `load`; the model of the config is not that of the run; it has no evaluators.
  """
  if not config.evaluators:
    raise UserError('the config has no evaluators: add one to config.evaluators')
  trained = load(folder)
  experiment = experiment_lib.build(config)
  wanted = experiment.abstract_state.variables
  if _shapes(wanted) != _shapes(trained.variables):
    raise UserError(f'the model of this config is not the one in workdir {folder!r}')
  _tokenizer.check_same(experiment.dataset.facts, trained.facts, folder)
  variables = jax.tree.map(lambda x, to: jax.device_put(x, to.sharding), trained.variables, wanted)
  metrics, _ = evaluate_lib.evaluate(experiment, variables)
  print(f'{folder}, step {trained.step}')
  for name, value in metrics.items():
    print(f'  {name:28} {progress.value(name, value)}')
  if output:
    workdir.write_json(pathlib.Path(output), metrics)
  return metrics


def _shapes(tree: Any) -> Any:
  return jax.tree.map(lambda x: tuple(x.shape), tree)
