"""What a run will need, before it costs anything: parameters, FLOPs, memory, communication, time.

The training step is compiled for the mesh, on the devices that are there or on simulated ones, and
read, not run. Programs for simulated chips are compiled for CPU devices: sharding and arguments are
those of the chip; all else is an estimate. Temporary memory and bytes moved are too many, since XLA
fuses more on GPUs and TPUs and computes bfloat16 there as such; collectives are translated into
those of the chip, see `vitlab.inspection.collectives`.
"""

import collections
import math
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from ml_collections import ConfigDict

from vitlab import names, workdir
from vitlab.inspection import chips, collectives, flops, stand_in
from vitlab.inspection.collectives import Traffic
from vitlab.train import memory
from vitlab.train.memory import device_bytes
from vitlab.train.setup import Experiment, build, on_mesh

# No time for fast code of the CPU; and of bfloat16, which it computes in float32, the traces stay.
_NEVER_RUN = {'xla_backend_optimization_level': 0, 'xla_allow_excess_precision': False}


class Parameter(NamedTuple):
  """Equal parameters of all blocks in one row: `block_*` stands for their numbers."""

  name: str
  copies: int
  shape: tuple[int, ...]
  dtype: str
  sharding: str
  size: int  # of one copy, over all devices
  bytes_per_device: int  # of one copy


class Inspection(NamedTuple):
  """Everything `inspect` finds. Bytes and FLOPs are per device unless named otherwise.

  Attributes:
    devices: '8 x h100 (simulated)'.
    mesh: Size by axis.
    parameters: In the order of the model.
    num_parameters: Over all players that learn.
    state_bytes: Part of the state (params, other variables, frozen, optimizer, average) -> bytes;
      frozen: all variables of the players without a loss, such as a teacher.
    memory: Part of `vitlab.train.memory.Plan`, and their sum, peak -> bytes.
    forward_macs: Multiply-adds of one example's forward pass, a teacher's included.
    step_flops: FLOPs of the step over all devices, by dtype, recomputation included.
    bytes_moved: Between a device and its memory in one step, as XLA counts them.
    sent: What a device sends to others in one step, see `vitlab.inspection.collectives`.
    least_sent: The bytes that parameters and gradients alone need, in the dtype of most FLOPs.
    seconds: compute, memory, communication and step (the largest of them): a roofline, not a
      measurement.
    steps: Of the whole run.
    batch_size: Examples per step.
    chip: The numbers that the estimates use.
  """

  devices: str
  mesh: Mapping[str, int]
  parameters: list[Parameter]
  num_parameters: int
  state_bytes: Mapping[str, int]
  memory: Mapping[str, int]
  forward_macs: float
  step_flops: Mapping[str, float]
  bytes_moved: float
  sent: list[Traffic]
  least_sent: float
  seconds: Mapping[str, float]
  steps: int
  batch_size: int
  chip: chips.Chip


def run(config: ConfigDict, topology: str = '', output: str = '') -> Inspection:
  """Inspects a config on the devices that JAX sees.

  Args:
    config: Of a run; its data need not be here if the config says their shape.
    topology: The chip that the devices stand for; '' for what they are.
    output: A JSON file for all numbers; '' for none.

  Raises:
    UserError: any value of the config that cannot be used.
  """
  devices = jax.devices()
  chip = topology or chips.name_of(devices[0].device_kind)
  name = f'{len(devices)} x {chip}' + (' (simulated)' if topology else '')
  experiment = build(config, dataset=stand_in.dataset(config))
  found = inspect(experiment, chips.find(chip, len(devices)), name, bool(topology))
  if output:
    workdir.write_json(pathlib.Path(output), _as_json(found))
  return found


def inspect(
  experiment: Experiment, chip: chips.Chip, name: str, simulated: bool = True
) -> Inspection:
  """Compiles the training step and reads it; computes nothing.

  Args:
    experiment: Built on the devices that stand for the chips.
    chip: What each of them can do.
    name: Of the devices, for people.
    simulated: Whether they only stand for them: the program will never run.
  """
  count = experiment.mesh.size
  traced = experiment.train_step.trace(experiment.abstract_state, experiment.abstract_batch)
  compiled = traced.lower().compile(_NEVER_RUN if simulated else None)
  step_flops = flops.count_jaxpr(traced.jaxpr)
  on_cpu = not simulated and experiment.mesh.devices.flat[0].platform == 'cpu'
  found, batch = compiled.memory_analysis(), experiment.abstract_batch
  planned = memory.plan(experiment, found, batch, on_cpu=on_cpu)
  bytes_moved = compiled.cost_analysis().get('bytes accessed', 0.0)
  sent = collectives.read(compiled.as_text(), experiment.mesh.shape)
  seconds = {
    'compute': sum(n / (count * _rate(chip, dtype)) for dtype, n in step_flops.items()),
    'memory': bytes_moved / chip.bandwidth,
    'communication': sum(one.seconds(chip.links) for one in sent),
  }
  batch_size = experiment.config.batch_size
  return Inspection(
    devices=name,
    mesh=dict(experiment.mesh.shape),
    parameters=_parameters(experiment),
    num_parameters=sum(experiment.num_parameters.values()),
    state_bytes=_state_bytes(experiment),
    memory=planned._asdict() | {'peak': planned.peak},
    forward_macs=_forward_flops(experiment) / 2 / batch_size,
    step_flops=step_flops,
    bytes_moved=bytes_moved,
    sent=collectives.summary(sent),
    least_sent=collectives.least(_learning(experiment), _itemsize(step_flops)),
    seconds=seconds | {'step': max(seconds.values())},
    steps=experiment.total_steps,
    batch_size=batch_size,
    chip=chip,
  )


def _as_json(found: Inspection) -> dict[str, Any]:
  chip = found.chip._asdict() | {'links': found.chip.links._asdict()}
  lists = {name: [row._asdict() for row in getattr(found, name)] for name in ('parameters', 'sent')}
  return found._asdict() | lists | {'chip': chip}


def _parameters(experiment: Experiment) -> list[Parameter]:
  rows: collections.Counter[Parameter] = collections.Counter()
  variables = experiment.abstract_state.variables
  for player, tree in variables.items():
    prefix = f'{player}/' if len(variables) > 1 else ''
    for name, leaf in names.flatten(tree['params']).items():
      name = prefix + names.of_any_block(name)
      spec, bytes_ = _spec(leaf.sharding), device_bytes(leaf)
      size = math.prod(leaf.shape)
      rows[Parameter(name, 1, leaf.shape, str(leaf.dtype), spec, size, bytes_)] += 1
  return [row._replace(copies=copies) for row, copies in rows.items()]


def _spec(sharding: NamedSharding) -> str:
  """The mesh axes that really split something: '(fsdp, -)'."""
  axes = [axis if isinstance(axis, tuple) else (axis,) for axis in sharding.spec]
  split = [[one for one in axis if one and sharding.mesh.shape[one] > 1] for axis in axes]
  return f'({", ".join("+".join(axis) or "-" for axis in split)})' if any(split) else 'replicated'


def _state_bytes(experiment: Experiment) -> dict[str, int]:
  state = experiment.abstract_state
  learning = [state.variables[player] for player in experiment.task.losses]
  params = device_bytes(_learning(experiment))
  return {
    'params': params,
    'other variables': device_bytes(learning) - params,
    'frozen': device_bytes(state.variables) - device_bytes(learning),
    'optimizer': device_bytes(state.opt_state),
    'average': device_bytes(state.ema),
  }


def _learning(experiment: Experiment) -> list[Any]:
  """Shapes of the parameters of the players that learn."""
  return [
    experiment.abstract_state.variables[player]['params'] for player in experiment.task.losses
  ]


def _forward_flops(experiment: Experiment) -> float:
  """FLOPs of every player's loss on one batch, without its gradient."""

  def losses(variables, batch):
    key = jax.random.key(0)
    return [loss(variables, batch, key).value for loss in experiment.task.losses.values()]

  function = on_mesh(experiment.mesh, losses)
  state, batch = experiment.abstract_state, experiment.abstract_batch
  return sum(flops.count(function, state.variables, batch).values())


def _itemsize(step_flops: Mapping[str, float]) -> int:
  return jnp.dtype(max(step_flops, key=step_flops.get, default='float32')).itemsize


def _rate(chip: chips.Chip, dtype: str) -> float:
  return chip.float32 if jnp.dtype(dtype).itemsize > 2 else chip.bfloat16
