"""Runs predict functions over splits and hands the rows to the evaluators."""

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from vitlab import tasks
from vitlab.data import BESIDE, Source, pipeline
from vitlab.errors import UserError, listed
from vitlab.evaluators import Predictions
from vitlab.tasks import Variables
from vitlab.train.feed import Feed
from vitlab.train.setup import Experiment

SHARED_BYTES = 2 * 2**30  # of features, while the evaluators of one state read them


class Interrupted(Exception):
  """The run was asked to stop in the middle of an evaluation."""


class Unmeasured(UserError):
  """Evaluators failed at the last step, without whose numbers a run is not finished.

  Args:
    failed: Name -> what it raised.
  """

  def __init__(self, failed: Mapping[str, Exception]):
    first = next(iter(failed.values()))
    said = ''.join(traceback.format_exception_only(first)).partition('\n')[0]
    super().__init__(
      f'evaluators failed after the last step: {listed(list(failed))}; the first with {said}'
      '\nthe training is complete and saved, but has no result; the tracebacks stand above'
      '\nmend or take out the evaluators: the same command then evaluates and finishes'
    )


def predictions(
  experiment: Experiment, variables: Variables, interrupted: Callable[[], bool] = lambda: False
) -> Predictions:
  """What evaluators read: (name of a predict function, split) -> (outputs, batch) in NumPy.

  The rows come in the order of the split, without padding, on every process. Each predict function
  is compiled once for all splits; features are `shared`.

  Args:
    experiment: The task, the data and the mesh.
    variables: On the mesh of the experiment.
    interrupted: Asked before each batch.

  Raises:
    UserError: no such predict function or split. Interrupted: when `interrupted()`.
  """

  def predict(name: str, split: str) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    function = experiment.predict(name)
    source = experiment.split(split)
    batches = pipeline.eval_batches(
      source,
      batch_size=experiment.eval_batch_size,
      workers=experiment.config.num_workers,
      max_corrupt=experiment.config.max_corrupt,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
    )
    with Feed(batches, lambda batch: (experiment.put(batch), batch)) as feed:
      running = None
      for on_devices, batch in feed:
        if interrupted():
          raise Interrupted
        # Hand out the next batch before the rows of this one are fetched: the devices stay busy.
        running, done = (function(variables, on_devices), batch), running
        if done is not None:
          yield _with_beside(source, *_rows(*done))
      if running is not None:
        yield _with_beside(source, *_rows(*running))

  return shared(predict, tasks.inputs(experiment.config.task))


def shared(
  source: Predictions, inputs: Sequence[str] = (), limit: int = SHARED_BYTES
) -> Predictions:
  """Predictions that compute the features of a split once, for all evaluators that read them.

  Args:
    source: The predictions of one set of variables.
    inputs: Keys of the batch that features stand for: their batches go without.
    limit: Bytes that may be kept; splits that need more are computed again.
  """
  kept: dict[str, list[tuple[Any, Mapping[str, Any]]]] = {}
  room = limit

  def features(split: str) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    nonlocal room
    rows, size = [], 0
    for outputs, batch in source('features', split):
      row = outputs, {key: column for key, column in batch.items() if key not in inputs}
      size += sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(row))
      if size <= room:
        rows.append(row)
      else:
        rows.clear()
      yield row
    if size <= room:
      kept[split], room = rows, room - size

  def predict(name: str, split: str) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    if name != 'features':
      return source(name, split)
    return iter(kept[split]) if split in kept else features(split)

  return predict


def evaluate(
  experiment: Experiment,
  variables: Variables,
  names: Sequence[str] | None = None,
  interrupted: Callable[[], bool] = lambda: False,
  source: Predictions | None = None,
) -> tuple[dict[str, float], dict[str, Mapping[str, Any]]]:
  """Runs evaluators of the config.

  Args:
    experiment: See `predictions`, as the other arguments.
    variables: See `predictions`.
    names: Which of `config.evaluators`; None for all.
    interrupted: See `predictions`.
    source: The predictions, where several calls share them.

  Returns:
    Metrics ('<evaluator>/<metric>') and details by evaluator.
  """
  metrics, details = {}, {}
  source = source or predictions(experiment, variables, interrupted)
  for name in experiment.evaluators if names is None else names:
    result = experiment.evaluators[name](source)
    metrics |= {f'{name}/{metric}': float(value) for metric, value in result.metrics.items()}
    details[name] = result.details
  return metrics, details


def _rows(outputs: Any, batch: Mapping[str, np.ndarray]) -> tuple[Any, dict[str, np.ndarray]]:
  """Gathers one batch from all devices and processes, and drops its padding."""
  if jax.process_count() > 1:
    outputs, batch = multihost_utils.process_allgather((outputs, dict(batch)), tiled=True)
  mask = np.asarray(batch['mask'])
  outputs, rows = jax.tree.map(lambda x: np.asarray(x)[mask], (outputs, dict(batch)))
  del rows['mask']
  return outputs, rows


def _with_beside(
  source: Source, outputs: Any, rows: dict[str, np.ndarray]
) -> tuple[Any, dict[str, Any]]:
  """What the split has beside the rows, such as their lines: every process has it."""
  beside = {
    name: [getattr(source, name)(int(i)) for i in rows['index']]
    for name in BESIDE
    if hasattr(source, name)
  }
  return outputs, rows | beside
