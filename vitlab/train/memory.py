"""What a run takes of a device's memory, read from its compiled step before that is run."""

import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax

from vitlab.hosts import machine
from vitlab.train.feed import AHEAD, DEPTH
from vitlab.train.setup import Experiment
from vitlab.train.step import State

_log = logging.getLogger(__name__)
_DECODED = 2  # batches in the host's memory that are not yet on their way to the devices
# A checkpoint is written from the arrays of the state, which the next step leaves to it, and as
# much again is encoded by then.
_COPIES = 2
_MARGIN = 1.05  # of estimated temporaries: a little of them is not in proportion to the rows


class Plan(NamedTuple):
  """Bytes on one device at the peak of a training step.

  Checkpoint and process count where programs run on the CPU: elsewhere they lie on the host.

  Attributes:
    state: Parameters, other variables, state of the optimiser, average.
    batches: In use, and on their way.
    temporaries: Activations and gradients, as the compiler lays them.
    checkpoint: Copies of the state that are written while the next steps run.
    process: Libraries and compiled programs; of several devices, a share.
  """

  state: int
  batches: int
  temporaries: int
  checkpoint: int
  process: int

  @property
  def peak(self) -> int:
    """All of them."""
    return sum(self)


def plan(
  experiment: Experiment, found: Any, batch: Mapping[str, Any], *, on_cpu: bool, held: Any = ()
) -> Plan:
  """Plans a run.

  Args:
    experiment: The run.
    found: What `jax.stages.Compiled.memory_analysis` says of its training step.
    batch: For which the step is compiled: with shardings, perhaps only shapes.
    on_cpu: Whether the step will run on the CPU, where this process is measured.
    held: Arrays that this process already has, and that count elsewhere.
  """
  state = device_bytes(experiment.abstract_state)
  process = 0
  if on_cpu:
    process = machine.resident_memory() // len(experiment.mesh.local_devices) - device_bytes(held)
  return Plan(
    state=state,
    batches=device_bytes(batch) * (1 + AHEAD + DEPTH + (_DECODED if on_cpu else 0)),
    temporaries=found.temp_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes,
    checkpoint=_COPIES * state if on_cpu and _saves_on_the_way(experiment) else 0,
    process=max(process, 0),
  )


class Watch:
  """Says it once, before a step is run that will not fit: what it needs, what is there, what helps.

  Args:
    experiment: The run.
  """

  def __init__(self, experiment: Experiment):
    self._experiment, self._seen, self._warned = experiment, set(), False

  def look(self, state: State, batch: Mapping[str, Any]) -> None:
    """Compiles the step for the first batch of each shape, as its call would, and reads it."""
    shapes = frozenset((name, x.shape) for name, x in batch.items())
    if shapes in self._seen or self._warned:
      return
    self._seen.add(shapes)
    # The call that follows finds what is compiled here.
    step = self._experiment.train_step.lower(state, batch).compile()
    devices = self._experiment.mesh.local_devices
    limit, found = available(devices[0], len(devices)), step.memory_analysis()
    if not limit or found is None:  # some platforms do not tell
      return
    on_cpu = devices[0].platform == 'cpu'
    planned = plan(self._experiment, found, batch, on_cpu=on_cpu, held=state)
    if planned.peak > limit and jax.process_index() == 0:
      self._warned = True
      _log.warning('%s', _message(self._experiment, planned, limit))


def available(device: Any, share: int = 1) -> int:
  """Bytes that a device can have; 0 if it does not say.

  Args:
    device: One of this process.
    share: How many devices share the memory of the host, if they compute on its CPU.
  """
  if device.platform == 'cpu':
    return machine.memory_limit() // share
  return (device.memory_stats() or {}).get('bytes_limit', 0)


def device_bytes(tree: Any) -> int:
  """Bytes of a tree of arrays, or of their shapes, on one device."""
  leaves = jax.tree.leaves(tree)
  return sum(math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in leaves)


def megabytes(size: float | int) -> str:
  """Bytes for people: '26.34 MB', '5.343 GB'."""
  return f'{size / 1e9:.4g} GB' if size >= 1e9 else f'{size / 1e6:.4g} MB'


def fitting(experiment: Experiment, planned: Plan, limit: int) -> Iterator[str]:
  """Settings of the config with which a run would fit: 'microbatches=4', 'batch_size=96'.

  Estimated: temporaries are in proportion to the rows that a device computes at once, down to the
  gradients and the updates that they become; microbatches add the sum of gradients.

  Args:
    experiment: The run.
    planned: Its plan, which exceeds the limit.
    limit: Bytes on a device.
  """
  batch_size, microbatches = experiment.config.batch_size, experiment.config.microbatches
  parts = experiment.mesh.shape['data'] * experiment.mesh.shape['fsdp']
  variables = experiment.abstract_state.variables
  gradients = device_bytes([variables[player]['params'] for player in experiment.task.losses])

  def fits(size: int, count: int) -> bool:
    rows = size / count / (batch_size / microbatches)
    temporaries = max(math.ceil(_MARGIN * rows * planned.temporaries), 2 * gradients)
    if count > 1 == microbatches:
      temporaries += gradients + planned.batches
    batches = planned.batches * size // batch_size
    return planned._replace(batches=batches, temporaries=temporaries).peak <= limit

  counts = range(microbatches + 1, batch_size // parts + 1)
  sizes = range(batch_size - parts * microbatches, 0, -parts * microbatches)
  possible = (n for n in counts if batch_size % (parts * n) == 0 and fits(batch_size, n))
  yield from (f'microbatches={n}' for n in [*possible][:1])
  yield from (f'batch_size={n}' for n in [n for n in sizes if fits(n, microbatches)][:1])


def _message(experiment: Experiment, planned: Plan, limit: int) -> str:
  parts = ', '.join(f'{name} {megabytes(n)}' for name, n in planned._asdict().items() if n)
  found = [f'--config.{setting}' for setting in fitting(experiment, planned, limit)]
  advice = ' or '.join(found) or 'a smaller model, or split over more devices: config.mesh.fsdp'
  return (
    f'this run will hardly fit: a device needs {megabytes(planned.peak)} ({parts}) and has '
    f'{megabytes(limit)}\nit would fit with {advice}'
  )


def _saves_on_the_way(experiment: Experiment) -> bool:
  """Whether checkpoints are written while steps run."""
  config = experiment.config
  every = [config.checkpoint.every]
  if config.checkpoint.best:
    every += [spec.every for spec in config.evaluators.values()]
  return any(0 < experiment.steps(text) < experiment.total_steps for text in every)
