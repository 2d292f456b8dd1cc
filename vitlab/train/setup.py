"""From a config to everything that runs it: data, task, optimisers, mesh, compiled functions.

Nothing is computed here: all shapes come from `jax.eval_shape`, so that every mistake in a config
is found before the devices work and before a workdir exists.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from vitlab import registry
from vitlab.data import Dataset, Source, batches, splits
from vitlab.errors import UserError, unknown
from vitlab.evaluators import Absent, Predictions, Result, splits_of
from vitlab.facts import fill
from vitlab.tasks import Batch, Metrics, Task, Variables
from vitlab.train import duration, initial, optim, sharding, step

AbstractBatch = Mapping[str, jax.ShapeDtypeStruct]


@dataclasses.dataclass(frozen=True, eq=False)
class Experiment:
  """What `build` makes of a config.

  Attributes:
    config: As given.
    dataset: All its splits and facts.
    train_source: The split that is trained on.
    task: With the model inside.
    evaluators: name -> evaluate, as in the config.
    optimizers: By player.
    schedules: player -> learning rate as a function of the step.
    mesh: Axes data, fsdp, model.
    total_steps: Of the whole run.
    abstract_batch: Shapes of a global training batch, with shardings.
    abstract_state: Shapes of the state, with shardings: what `Checkpoints.restore` wants.
    init: () -> the state before the first step, compiled as one program; with `config.init_from`
      the weights are in it.
    train_step: (state, batch) -> (state, metrics), jitted, its state donated; traced once.
  """

  config: ConfigDict
  dataset: Dataset
  train_source: Source
  task: Task
  evaluators: Mapping[str, Callable[[Predictions], Result]]
  optimizers: Mapping[str, optax.GradientTransformation]
  schedules: Mapping[str, optax.Schedule]
  mesh: Mesh
  total_steps: int
  abstract_batch: AbstractBatch
  abstract_state: step.State
  init: initial.Start
  train_step: Callable[[step.State, Batch], tuple[step.State, Metrics]]

  def steps(self, text: str) -> int:
    """A duration of the config in steps; 0 for '' and for zero of any unit."""
    return _steps(self.config, text, len(self.train_source), self.total_steps) if text else 0

  def split(self, expression: str) -> Source:
    """A part of the data set, such as 'test' or 'train[:10%]'."""
    return splits.select(self.dataset, expression)

  @property
  def eval_batch_size(self) -> int:
    """Examples per evaluation batch: as many as a training step holds at once."""
    return self.config.batch_size // self.config.microbatches

  @property
  def num_parameters(self) -> dict[str, int]:
    """Of the players that learn: a teacher's are no part of what is trained."""
    variables = self.abstract_state.variables
    return {
      player: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables[player]['params']))
      for player in self.task.losses
    }

  def put(self, batch: Mapping[str, np.ndarray]) -> Batch:
    """Moves this process's rows of a batch to its devices."""
    layout = sharding.batch_sharding(self.mesh)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(layout, x), dict(batch))

  @functools.cache  # noqa: B019 - lives as long as the experiment, which lives as long as the run
  def predict(self, name: str) -> Callable[[Variables, Batch], Any]:
    """A predict function of the task, jitted; its outputs lie as the batch does.

    Raises:
      Absent: the task has no such function.
    """
    if name not in self.task.predict:
      raise Absent(str(unknown('predict function of the task', name, self.task.predict)))
    function = on_mesh(self.mesh, self.task.predict[name])
    return jax.jit(function, out_shardings=sharding.batch_sharding(self.mesh))


def build(
  config: ConfigDict,
  devices: Sequence[jax.Device] | None = None,
  dataset: Dataset | None = None,
  sources: initial.Sources | None = None,
) -> Experiment:
  """Resolves a config.

  Args:
    config: With the keys of `vitlab.config.base()`, completed by `vitlab.train.init_from.resolve`.
    devices: For the mesh; default all.
    dataset: Instead of the one that the config names.
    sources: The weights of config.init_from, as `vitlab.train.init_from.resolve` gives them.

  Raises:
    UserError: any value of the config that cannot be used.
  """
  mesh = sharding.make_mesh(dict(config.mesh), devices)
  sharding.check_batch_size(config.batch_size, mesh, config.microbatches)
  dataset = dataset or registry.make('data.sets', config.data.to_dict())
  train_source, total_steps = _training(config, dataset)
  # Its init jitted, so that the functions below that need it trace the model once, not three times.
  task = _jit_init(make_task(config, dataset.facts), mesh)
  abstract_batch = _abstract_batch(train_source, config.batch_size, mesh)
  variables = jax.eval_shape(lambda: task.init(jax.random.key(0), _zeros(abstract_batch)))
  params = {player: variables[player]['params'] for player in task.losses}
  sizes = dict(batch_size=config.batch_size, num_examples=len(train_source))
  optimizers, schedules = optim.for_players(
    config.optim.to_dict(), params, total_steps=total_steps, **sizes
  )
  state, init, train_step = _compiled(
    config, mesh, task, optimizers, abstract_batch, sources, dataset.facts
  )
  experiment = Experiment(
    config=config,
    dataset=dataset,
    train_source=train_source,
    task=task,
    evaluators=_evaluators(config, dataset.facts),
    optimizers=optimizers,
    schedules=schedules,
    mesh=mesh,
    total_steps=total_steps,
    abstract_batch=abstract_batch,
    abstract_state=state,
    init=init,
    train_step=train_step,
  )
  _check_cadence(experiment)
  return experiment


def make_task(config: ConfigDict, facts: Mapping[str, Any]) -> Task:
  """The model inside its task, both filled from the facts.

  Raises:
    UserError: as `facts.fill`; an unknown name or keyword, or what the model and the task refuse.
  """
  model = make_model(config, facts)
  return registry.make('tasks', fill(config.task.to_dict(), facts, 'task', 'tasks'), model=model)


def make_model(config: ConfigDict, facts: Mapping[str, Any]) -> nn.Module:
  """The model alone; see `make_task`."""
  return registry.make('models', fill(config.model.to_dict(), facts, 'model', 'models'))


def _jit_init(task: Task, mesh: Mesh) -> Task:
  return task._replace(init=jax.jit(on_mesh(mesh, task.init)))


def on_mesh(mesh: Mesh, function: Callable) -> Callable:
  """The function, traced with the mesh in context: layers constrain their activations to it."""

  @functools.wraps(function)
  def traced(*args):
    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
      return function(*args)

  return traced


def _compiled(
  config: ConfigDict,
  mesh: Mesh,
  task: Task,
  optimizers: step.Optimizers,
  abstract_batch: AbstractBatch,
  sources: initial.Sources | None,
  facts: Mapping[str, Any],
) -> tuple[step.State, initial.Start, Callable]:
  """Abstract state with shardings, its start, jitted step; both traced, neither compiled."""

  def init_state(loaded):
    start = task._replace(init=lambda *inputs: initial.overlay(task.init(*inputs), loaded))
    key, batch = jax.random.key(config.seed), _zeros(abstract_batch)
    return step.init_state(start, optimizers, key, batch, config.ema_decay)

  abstract = jax.eval_shape(init_state, {})
  shardings = sharding.state_shardings(abstract, mesh, config.sharding_rules)
  abstract = jax.tree.map(
    lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), abstract, shardings
  )
  options = dict(seed=config.seed, microbatches=config.microbatches, ema_decay=config.ema_decay)
  train_step = step.make_train_step(task, optimizers, **options)
  jitted_step = jax.jit(
    on_mesh(mesh, train_step),
    donate_argnums=0,
    in_shardings=(shardings, sharding.batch_sharding(mesh)),
    out_shardings=(shardings, NamedSharding(mesh, PartitionSpec())),
  )
  jax.eval_shape(jitted_step, abstract, abstract_batch)  # fails now, not in the middle of a start
  frozen = abstract.variables.keys() - optimizers.keys()
  init = initial.jit_once(init_state, mesh, out_shardings=shardings)
  data = dict(facts=facts, match_classes=config.match_classes)
  start = initial.Start(init, abstract.variables, sources, frozen, data)
  return abstract, start, jitted_step


def _training(config: ConfigDict, dataset: Dataset) -> tuple[Source, int]:
  """The split that is trained on, and the steps of the run."""
  source = splits.select(dataset, config.train_split)
  if len(source) < config.batch_size:
    raise UserError(
      f'train_split {config.train_split!r} has {len(source)} examples, '
      f'fewer than one batch of {config.batch_size}\nlower batch_size or take a larger split'
    )
  total_steps = _steps(config, config.duration, len(source))
  if total_steps < 1:
    raise UserError(f'duration {config.duration!r} is no step: give for example 10 epochs')
  return source, total_steps


def _steps(config: ConfigDict, text: str, num_examples: int, total_steps: int | None = None) -> int:
  return duration.steps(
    text, batch_size=config.batch_size, num_examples=num_examples, total=total_steps
  )


def _abstract_batch(source: Source, batch_size: int, mesh: Mesh) -> AbstractBatch:
  """Of a batch; of examples that differ in length, or in height and width, of the largest."""
  layout = sharding.batch_sharding(mesh)
  shapes = {**batches.shapes(source), 'mask': ((), np.bool_)}
  return {
    key: jax.ShapeDtypeStruct((batch_size, *shape), dtype, sharding=layout)
    for key, (shape, dtype) in shapes.items()
  }


def _zeros(abstract_batch: AbstractBatch) -> Batch:
  """A batch for `Task.init`, which wants its shapes: XLA drops the forward pass."""
  return {key: jnp.zeros(x.shape, x.dtype) for key, x in abstract_batch.items()}


def _evaluators(config: ConfigDict, facts: Mapping[str, Any]) -> dict[str, Callable]:
  made = {}
  for name, spec in config.evaluators.to_dict().items():
    if not isinstance(spec, Mapping) or 'every' not in spec:
      raise UserError(f"evaluator {name!r} needs every=..., for example every='1 epochs' or '10%'")
    del spec['every']
    spec = fill(spec, facts, f'evaluators.{name}', 'evaluators')
    made[name] = registry.make('evaluators', spec)
  return made


def _check_cadence(experiment: Experiment) -> None:
  """Everything in the config that is only used later in the run."""
  config = experiment.config
  if experiment.steps(config.log_every) < 1:
    raise UserError(f'log_every={config.log_every!r}: give at least 1 steps')
  for spec in config.evaluators.to_dict().values():
    experiment.steps(spec['every'])
    for split in splits_of(spec):
      experiment.split(split)
  experiment.steps(config.checkpoint.every)
  experiment.steps(config.checkpoint.keep_every)
  best = config.checkpoint.best
  if best and best.partition('/')[0] not in config.evaluators:
    raise unknown(
      'evaluator in checkpoint.best', best, [f'{name}/...' for name in config.evaluators]
    )
  if config.checkpoint.best_mode not in ('max', 'min'):
    raise unknown('checkpoint.best_mode', config.checkpoint.best_mode, ['max', 'min'])
