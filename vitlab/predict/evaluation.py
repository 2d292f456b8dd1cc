"""`--mode=eval`: the evaluators of a config on a trained model."""

import dataclasses
import logging
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
from ml_collections import ConfigDict

from vitlab import registry, workdir
from vitlab.data import Dataset, classes, identity, tokenizers
from vitlab.errors import UserError
from vitlab.lines import visible
from vitlab.predict.trained import Trained, load
from vitlab.tasks import Variables, without_rows
from vitlab.train import evaluate as evaluate_lib
from vitlab.train import progress, setup
from vitlab.train.weights import Weights, computed

_log = logging.getLogger(__name__)


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
    weights = sources['model'] if sources else None
    experiment, variables, number = _whole(folder, config, average, weights)
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
  folder: str, config: ConfigDict, average: int, weights: Weights | None
) -> tuple[setup.Experiment, Variables, int]:
  """A trained model on its mesh, with its step."""
  trained = load(folder, average=average, weights=weights)
  experiment = setup.build(config, dataset=_dataset(config, trained))
  # What belongs to the rows of training batches, a memory, is none of the model's.
  wanted, found = without_rows(experiment.abstract_state.variables), trained.variables
  there = computed(trained.config, trained.facts)
  here = computed(config, experiment.dataset.facts)
  same = registry.describe('models', there) == registry.describe('models', here)
  if not same or _shapes(wanted) != _shapes(found):
    words = [f'{key} {old} -> {new}' for key, old, new in workdir.differences(there, here)]
    raise UserError(
      f'the model of this config is not the one in workdir {folder!r} (there -> here): '
      + ', '.join(words)
    )
  variables = jax.tree.map(lambda x, to: jax.device_put(x, to.sharding), found, wanted)
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
  return experiment, variables, sources['model'].origin.get('step', 0)


def _dataset(config: ConfigDict, trained: Trained) -> Dataset:
  """The data set of a config in the classes and words of a model."""
  dataset = registry.make('data.sets', config.data.to_dict())
  given, known = (workdir.to_json(one)['data'] for one in (config, trained.config))
  if given == known:
    changes = identity.changes(identity.of_facts(trained.facts), identity.of(dataset))
    if changes:
      _log.warning('%s: its data have changed: %s', trained.workdir, '; '.join(changes))
  tokenizers.check_same(dataset.facts, trained.facts, trained.workdir)
  return classes.align(dataset, trained.facts, trained.workdir, config.match_classes)


def _shapes(tree: Any) -> Any:
  return jax.tree.map(lambda x: tuple(x.shape), tree)
