"""A trained model from its workdir: to use it without its data set, or to evaluate it on it."""

import dataclasses
import logging
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from vitlab import config as config_lib
from vitlab import pretrained, registry, workdir
from vitlab.cli import config_file
from vitlab.data import Dataset, classes, identity, marian, tokenizers
from vitlab.errors import UserError
from vitlab.lines import visible
from vitlab.tasks import Task, Variables
from vitlab.train import evaluate as evaluate_lib
from vitlab.train import progress, setup, step
from vitlab.workdir.checkpoint import Checkpoints

_log = logging.getLogger(__name__)

# Words of a model that say how it is trained and run, not what it is.
TRAINING = ('dropout_rate', 'drop_path_rate', 'scan', 'remat', 'dtype')
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


def is_run(path: str) -> bool:
  """Whether this is the workdir of a training, and not a file or folder of published weights."""
  folder = pathlib.Path(path)
  kept = (workdir.FACTS, workdir.CHECKPOINTS)
  return folder.is_dir() and any((folder / name).exists() for name in kept)


def is_published(path: str) -> bool:
  """Whether this is a file or folder of published weights."""
  return not is_run(path) and pretrained.holds_weights(path)


def load(folder: str, overrides: Sequence[str] = (), average: int = 0) -> Trained:
  """The best checkpoint of a run, by its `checkpoint.best`, else the newest good one.

  Or published weights: a file or folder that `vitlab.pretrained.read` knows.

  Args:
    folder: Of the run or the weights.
    overrides: Changes to the config of the run: '--config.task.search=beam,beams=8'.
    average: The mean of the last so many checkpoints instead, as in arXiv:1706.03762, section 6.1.

  Raises:
    UserError: there is none, or not as many; it does not fit the stored config; a change that
      would have no effect, or give another model.
  """
  if is_published(folder):
    if average:
      raise UserError(
        f'--average={average}: {folder!r} holds weights, not the checkpoints of a run'
      )
    return _published(folder, overrides)
  config = config_file.stored(folder)
  _override(config, overrides)
  checkpoints = Checkpoints(
    pathlib.Path(folder) / workdir.CHECKPOINTS,
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
  facts = workdir.read_json(pathlib.Path(folder) / workdir.FACTS) or restored[-1].meta['facts']
  found = [step.State(r.step, r.state['variables'], {}, r.state['ema']) for r in restored]
  variables = _mean([state.averaged() for state in found])
  task = setup.make_task(config, facts)
  return Trained(folder, restored[-1].step, config, facts, task, variables)


def _mean(trees: Sequence[Variables]) -> Variables:
  """Of parameters and statistics alike; integers are those of the last."""

  def mean(*leaves: Any) -> jax.Array:
    if len(leaves) == 1 or not jnp.issubdtype(leaves[-1].dtype, jnp.floating):
      return jnp.asarray(leaves[-1])
    return jnp.asarray(
      sum(leaf.astype(np.float64) for leaf in leaves) / len(leaves), leaves[-1].dtype
    )

  return jax.tree.map(mean, *trees)


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


def _published(path: str, overrides: Sequence[str]) -> Trained:
  """A model with nothing but what travels with its weights."""
  weights = pretrained.read(path)
  config = config_lib.base()
  config.model = dict(weights.about.spec)
  if config.model.get('num_classes', 'a model of sentences') is None:
    raise UserError(f'{path}: these weights have no classifier: fine-tune them with init_from')
  if weights.about.preprocessing is None:
    searched = any(text.partition('=')[0].endswith('config.task.search') for text in overrides)
    config.task, facts, batch = _translator(path, weights.about, searched)
  else:
    config.task, facts, batch = _classifier(weights.about)
  _override(config, overrides)
  task = setup.make_task(config, facts)
  like = jax.eval_shape(task.init, jax.random.key(0), batch)
  variables = {'model': jax.tree.map(jnp.asarray, weights.load(like['model']))}
  return Trained(path, 0, config.lock(), facts, task, variables)


def _classifier(about: pretrained.About) -> tuple[Any, Any, Any]:
  """Task, facts and the shapes of a batch of pictures."""
  count, pictures = about.spec['num_classes'], about.preprocessing
  facts = dict(
    num_classes=count,
    class_names=list(about.class_names) or [classes.placeholder(i) for i in range(count)],
    image=pictures.image(),
  )
  shape = (1, *pictures.image_size, pictures.channels)
  task = dict(name='classification', num_classes=None, mean=pictures.mean, std=pictures.std)
  return task, facts, {'image': jax.ShapeDtypeStruct(shape, jnp.uint8)}


def _translator(path: str, about: pretrained.About, searched: bool) -> tuple[Any, Any, Any]:
  """Task, facts and the shapes of a batch of sentences; which are found as the weights' files say.

  Raises:
    UserError: what they say is not done here, and the search is not another one (`searched`).
  """
  facts = dict(vocab_size=about.spec['vocab_size'], vocabulary=list(about.vocabulary))
  if (pathlib.Path(path).expanduser() / marian.SOURCE).exists():
    facts['tokenizer'] = tokenizers.load(path).text
  wanted = pretrained.generation(path)
  if wanted.refused and not searched:
    raise UserError(
      f'{path}: its generation_config.json wants {", ".join(wanted.refused)}, which vitlab does '
      'not do\nsay how to search instead, for example --search=beam,beams=4'
    )
  task = dict(name='translation', search=wanted.search, max_tokens=wanted.max_tokens)
  sentence = jax.ShapeDtypeStruct((1, 1), jnp.int32)
  return task, facts, dict(tokens=sentence, targets=sentence)


def evaluate(
  folder: str,
  config: ConfigDict,
  output: str = '',
  average: int = 0,
  sources: Mapping[str, Any] | None = None,
) -> dict[str, float]:
  """Runs the evaluators of a config on a trained model and prints what they find.

  Args:
    folder: The workdir.
    config: That of the run, or one with other data, evaluators, batch size or mesh.
    output: A JSON file for the metrics; '' for none.
    average: See `load`.
    sources: Weights that config.init_from names, where they are evaluated. With head='new' their
      classifier is not read, and the classes are those of the data.

  Returns:
    '<evaluator>/<metric>' -> value.

  Raises:
    UserError: as `load`; the model of the config is not that of the run, or does not know a class
      or the vocabulary of the data; it has no evaluators.
  """
  if not config.evaluators:
    raise UserError('the config has no evaluators: add one to config.evaluators')
  if sources and sources['model'].head == 'new':
    experiment, variables, number = _headless(config, sources, average)
  else:
    experiment, variables, number = _whole(folder, config, average)
  metrics, details = evaluate_lib.evaluate(experiment, variables)
  print(f'{visible(folder)}, step {number}')
  for name, value in metrics.items():
    print(f'  {name:28} {progress.value(name, value)}')
  for signature in {
    str(text) for found in details.values() for text in found.get('signatures', ())
  }:
    print(f'  {signature}')
  if output:
    workdir.write_json(pathlib.Path(output), metrics)
  return metrics


def _whole(
  folder: str, config: ConfigDict, average: int
) -> tuple[setup.Experiment, Variables, int]:
  """A trained model on its mesh, with its step."""
  trained = load(folder, average=average)
  experiment = setup.build(config, dataset=_dataset(config, trained))
  wanted = experiment.abstract_state.variables
  there = _model(trained.config, trained.facts)
  here = _model(config, experiment.dataset.facts)
  same = registry.describe('models', there) == registry.describe('models', here)
  if not same or _shapes(wanted) != _shapes(trained.variables):
    words = [f'{key} {old} -> {new}' for key, old, new in workdir.differences(there, here)]
    raise UserError(
      f'the model of this config is not the one in workdir {folder!r} (there -> here): '
      + ', '.join(words)
    )
  variables = jax.tree.map(lambda x, to: jax.device_put(x, to.sharding), trained.variables, wanted)
  return experiment, variables, trained.step


def _headless(
  config: ConfigDict, sources: Mapping[str, Any], average: int
) -> tuple[setup.Experiment, Variables, int]:
  """A model of which only the features can be predicted: its new head knows nothing."""
  if average:
    raise UserError("--average does not go with config.init_from=dict(head='new')")
  experiment = setup.build(config, sources=sources)
  variables = experiment.init().variables
  task = experiment.task
  predict = {name: task.predict[name] for name in ('features',) if name in task.predict}
  experiment = dataclasses.replace(experiment, task=task._replace(predict=predict))
  return experiment, variables, sources['model'].weights.origin.get('step', 0)


def _dataset(config: ConfigDict, trained: Trained) -> Dataset:
  """The data set of a config in the classes and words of a model."""
  dataset = registry.make('data.sets', config.data.to_dict())
  given, known = (workdir.to_json(one)['data'] for one in (config, trained.config))
  if given == known:
    changes = identity.changes(identity.of_facts(trained.facts), identity.of(dataset))
    if changes:
      _log.warning('%s: its data have changed: %s', trained.workdir, '; '.join(changes))
  tokenizers.check_same(dataset.facts, trained.facts, trained.workdir)
  names = trained.facts.get('class_names')
  return classes.align(dataset, names, trained.workdir, config.match_classes)


def _model(config: ConfigDict, facts: Mapping[str, Any]) -> dict[str, Any]:
  """The spec of the model in a config, without what only matters in training."""
  spec = {key: value for key, value in config.model.to_dict().items() if key not in TRAINING}
  return {key: facts.get(key) if value is None else value for key, value in spec.items()}


def _shapes(tree: Any) -> Any:
  return jax.tree.map(lambda x: tuple(x.shape), tree)
