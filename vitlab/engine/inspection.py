"""What a run will need, before it costs anything: parameters, FLOPs, memory and time per step.

The training step is compiled for the mesh, on the devices that are there or on simulated ones, and
read, not run. Programs for simulated chips are compiled for CPU devices: sharding, arguments and
collectives are those of the chip; temporary memory and bytes moved are estimates, since XLA fuses
more on GPUs and TPUs and computes bfloat16 there as such.
"""

import collections
import math
import pathlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from ml_collections import ConfigDict

from vitlab.engine import chips, flops, names, stand_in, workdir
from vitlab.engine.experiment import Experiment, build, on_mesh
from vitlab.engine.progress import duration

_COLLECTIVE = re.compile(
  r'= (?P<result>.*?) (?:all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)'
  r'(?:-start)?\('
)
_ARRAY = re.compile(r'\b(?P<dtype>pred|[a-z]+(?P<bits>\d+)\w*)\[(?P<shape>[\d,]*)\]')


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
    memory: Part of the compiled step (arguments, temporaries, peak) -> bytes.
    forward_macs: Multiply-adds of one example's forward pass, a teacher's included.
    step_flops: FLOPs of the step over all devices, by dtype, recomputation included.
    bytes_moved: Between a device and its memory in one step, as XLA counts them.
    collective_bytes: What the collectives of one step produce (a scanned layer counts once).
    seconds: compute, memory and step (the larger of the two): a roofline, not a measurement.
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
  collective_bytes: int
  seconds: Mapping[str, float]
  steps: int
  batch_size: int
  chip: chips.Chip


def run(config: ConfigDict, topology: str = '', output: str = '') -> Inspection:
  """Inspects a config on the devices that JAX sees, and prints what is found.

  Args:
    config: Of a run; its data need not be here if the config says their shape.
    topology: The chip that the devices stand for; '' for what they are.
    output: A JSON file for all numbers; '' for none.

  Raises:
    UserError: any value of the config that cannot be used.
  """
  devices = jax.devices()
  chip = topology or chips.name_of(devices[0].device_kind)
  simulated = ' (simulated)' if topology else ''
  experiment = build(config, dataset=stand_in.dataset(config))
  found = inspect(experiment, chips.find(chip, len(devices)), f'{len(devices)} x {chip}{simulated}')
  print(render(found))
  if output:
    workdir.write_json(pathlib.Path(output), _as_json(found))
  return found


def inspect(experiment: Experiment, chip: chips.Chip, name: str) -> Inspection:
  """Compiles the training step and reads it; computes nothing.

  Args:
    experiment: Built on the devices that stand for the chips.
    chip: What each of them can do.
    name: Of the devices, for people.
  """
  count = experiment.mesh.size
  traced = experiment.train_step.trace(experiment.abstract_state, experiment.abstract_batch)
  compiled = traced.lower().compile()
  step_flops = flops.count_jaxpr(traced.jaxpr)
  memory = compiled.memory_analysis()
  bytes_moved = compiled.cost_analysis().get('bytes accessed', 0.0)
  compute = sum(n / (count * _rate(chip, dtype)) for dtype, n in step_flops.items())
  seconds = {'compute': compute, 'memory': bytes_moved / chip.bandwidth}
  batch_size = experiment.config.batch_size
  return Inspection(
    devices=name,
    mesh=dict(experiment.mesh.shape),
    parameters=_parameters(experiment),
    num_parameters=sum(experiment.num_parameters.values()),
    state_bytes=_state_bytes(experiment),
    memory={
      'arguments': memory.argument_size_in_bytes,
      'temporaries': memory.temp_size_in_bytes,
      'peak': memory.argument_size_in_bytes
      + memory.temp_size_in_bytes
      + memory.output_size_in_bytes
      - memory.alias_size_in_bytes,
    },
    forward_macs=_forward_flops(experiment) / 2 / batch_size,
    step_flops=step_flops,
    bytes_moved=bytes_moved,
    collective_bytes=collective_bytes(compiled.as_text()),
    seconds=seconds | {'step': max(seconds.values())},
    steps=experiment.total_steps,
    batch_size=batch_size,
    chip=chip,
  )


def collective_bytes(program: str) -> int:
  """Bytes that the collectives of a compiled program's text produce on one device."""
  total = 0.0
  for collective in _COLLECTIVE.finditer(program):
    for array in _ARRAY.finditer(collective['result']):
      shape = [int(n) for n in array['shape'].split(',') if n]
      total += math.prod(shape) * int(array['bits'] or 8) / 8
  return int(total)


def render(found: Inspection) -> str:
  """The inspection for a terminal."""
  rows = [('parameter', 'shape', 'sharding', 'MB a device')]
  for one in found.parameters:
    copies = f'{one.copies} x ' if one.copies > 1 else ''
    shape = f'{copies}{one.dtype}[{", ".join(map(str, one.shape))}]'
    megabytes = f'{one.copies * one.bytes_per_device / 1e6:.3f}'
    rows.append((one.name, shape, one.sharding, megabytes))
  widths = [max(len(row[column]) for row in rows) for column in range(4)]
  table = [
    f'{a.ljust(widths[0])}  {b.ljust(widths[1])}  {c.ljust(widths[2])}  {d.rjust(widths[3])}'
    for a, b, c, d in rows
  ]
  mesh = ', '.join(f'{axis} {size}' for axis, size in found.mesh.items())
  facts = {
    'devices': f'{found.devices}; mesh {mesh}',
    'parameters': f'{found.num_parameters:,}',
    'state': _join({part: _megabytes(n) for part, n in found.state_bytes.items() if n}, 'a device'),
    'memory': _memory(found),
    'forward pass': f'{found.forward_macs / 1e9:.4g} GMAC an example',
    'training step': _work(found),
    'time': _time(found),
    'chip': f'{_join(_chip(found.chip))} ({found.chip.source})',
  }
  width = max(map(len, facts))
  return '\n'.join([*table, '', *(f'{key.ljust(width)}  {text}' for key, text in facts.items())])


def _as_json(found: Inspection) -> dict[str, Any]:
  parameters = [parameter._asdict() for parameter in found.parameters]
  return found._asdict() | {'parameters': parameters, 'chip': found.chip._asdict()}


def _parameters(experiment: Experiment) -> list[Parameter]:
  rows: collections.Counter[Parameter] = collections.Counter()
  variables = experiment.abstract_state.variables
  for player, tree in variables.items():
    prefix = f'{player}/' if len(variables) > 1 else ''
    for name, leaf in names.flatten(tree['params']).items():
      name = prefix + re.sub(r'(^|/)block_\d+(?=/)', r'\1block_*', name)
      spec, bytes_ = _spec(leaf.sharding), _bytes(leaf)
      size = math.prod(leaf.shape)
      rows[Parameter(name, 1, leaf.shape, str(leaf.dtype), spec, size, bytes_)] += 1
  return [row._replace(copies=copies) for row, copies in rows.items()]


def _spec(sharding: NamedSharding) -> str:
  """The mesh axes that really split something: '(fsdp, -)'."""
  axes = [axis if isinstance(axis, tuple) else (axis,) for axis in sharding.spec]
  split = [[one for one in axis if one and sharding.mesh.shape[one] > 1] for axis in axes]
  return f'({", ".join("+".join(axis) or "-" for axis in split)})' if any(split) else 'replicated'


def _bytes(tree: Any) -> int:
  """Bytes of a tree of shapes on one device."""
  leaves = jax.tree.leaves(tree)
  return sum(math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in leaves)


def _state_bytes(experiment: Experiment) -> dict[str, int]:
  state = experiment.abstract_state
  learning = [state.variables[player] for player in experiment.task.losses]
  params = _bytes([tree['params'] for tree in learning])
  return {
    'params': params,
    'other variables': _bytes(learning) - params,
    'frozen': _bytes(state.variables) - _bytes(learning),
    'optimizer': _bytes(state.opt_state),
    'average': _bytes(state.ema),
  }


def _forward_flops(experiment: Experiment) -> float:
  """FLOPs of every player's loss on one batch, without its gradient."""

  def losses(variables, batch):
    key = jax.random.key(0)
    return [loss(variables, batch, key).value for loss in experiment.task.losses.values()]

  function = on_mesh(experiment.mesh, losses)
  state, batch = experiment.abstract_state, experiment.abstract_batch
  return sum(flops.count(function, state.variables, batch).values())


def _rate(chip: chips.Chip, dtype: str) -> float:
  return chip.float32 if jnp.dtype(dtype).itemsize > 2 else chip.bfloat16


def _memory(found: Inspection) -> str:
  peak, capacity = found.memory['peak'], found.chip.memory
  verdict = 'fits' if peak <= capacity else 'DOES NOT FIT'
  if 'simulated' in found.devices:
    verdict = f'compiled for CPU, an upper estimate, it {verdict}'
  return (
    f'{_megabytes(peak)} a device at its peak ({_megabytes(found.memory["arguments"])} arguments, '
    f'{_megabytes(found.memory["temporaries"])} temporaries): {verdict} in '
    f'{_megabytes(capacity)}, {peak / capacity:.1%}'
  )


def _work(found: Inspection) -> str:
  work = ' + '.join(f'{n / 1e12:.4g} TFLOP in {dtype}' for dtype, n in found.step_flops.items())
  return (
    f'{work or "0 TFLOP"} over all devices; a device moves {_megabytes(found.bytes_moved)} of '
    f'memory and {_megabytes(found.collective_bytes)} through collectives'
  )


def _time(found: Inspection) -> str:
  """Matmuls alone at the data sheet's rate are the least; unfused memory traffic is too much."""
  step, parts = found.seconds['step'], found.seconds
  return (
    f'roofline estimate: {1000 * step:.3g} ms a step (compute {1000 * parts["compute"]:.3g}, '
    f'memory {1000 * parts["memory"]:.3g}), {found.batch_size / step:,.0f} examples/s, '
    f'{duration(step * found.steps)} for {found.steps:,} steps'
  )


def _chip(chip: chips.Chip) -> dict[str, str]:
  return {
    'bfloat16': f'{chip.bfloat16 / 1e12:.4g} TFLOP/s',
    'float32': f'{chip.float32 / 1e12:.4g} TFLOP/s',
    'memory': _megabytes(chip.memory),
    'bandwidth': f'{chip.bandwidth / 1e9:,.0f} GB/s',
  }


def _join(parts: Mapping[str, str], unit: str = '') -> str:
  return ', '.join(f'{name} {text}' for name, text in parts.items()) + (f' {unit}' if unit else '')


def _megabytes(size: float | int) -> str:
  return f'{size / 1e9:.4g} GB' if size >= 1e9 else f'{size / 1e6:.4g} MB'
