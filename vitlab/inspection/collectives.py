"""What a compiled program sends between devices, read from its text.

Counted are the bytes that one device sends in one step, by ring algorithms, which send the least:
of n devices each sends (n - 1)/n of the whole array in an all-gather, reduce-scatter or all-to-all,
twice that in an all-reduce, and all that it has in a collective-permute. It receives as much. A
loop's body counts as often as the loop turns (once, where the compiler does not know).

The compiler for the CPU leaves two things as they are that those for GPUs and TPUs do not, and both
are counted as there: an all-reduce of which every device reads no more than its own part is a
reduce-scatter, and an array of 32 bits that is only a wider form of 16 bits is sent in 16. A third
is not: sums that a loop adds up, such as gradients of recurrent weights, are sent once behind it
there, here at every turn. Of programs that were compiled for TPUs, whose collectives are merged
with what they wait for, too little is seen.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from vitlab.inspection.chips import Links
from vitlab.inspection.hlo import Computation, Instruction, Program

KINDS = ('all-gather', 'reduce-scatter', 'all-reduce', 'all-to-all', 'collective-permute')
_ARRAY = re.compile(r'\b(?:pred|[a-z]+(?P<bits>\d+)\w*)\[(?P<shape>[\d,]*)\]')
_LISTED = re.compile(r'replica_groups=\{\{([\d,]*)\}')
_IOTA = re.compile(r'replica_groups=\[(\d+),(\d+)\]<=(\[[\d,]+\](?:T\([\d,]+\))?)')
_MESH = re.compile(
  r'replica_groups=mesh\[(?P<mesh>[^\]]*)\](?:, device_ids=\((?P<ids>[^\]]*\](?:T\([\d,]+\))?)\))?'
  r' ?\{(?P<axes>[^}]*)\}'
)
_MESH_AXIS = re.compile(r"'([^']+)'(?:=(\d+))?(?::\((\d+)\)(\d+))?")
_PAIR = re.compile(r'\{(\d+),(\d+)\}')


class Collective(NamedTuple):
  """One array in one collective.

  Attributes:
    kind: One of `KINDS`.
    axes: The mesh axes along which it goes, joined by '+'.
    group: The devices of the first of its groups.
    sent: Bytes that a device sends each time.
    times: How often a step.
    array: What it is about, 'f32[8,3]'.
    source: What of the model it belongs to, as JAX names it.
  """

  kind: str
  axes: str
  group: tuple[int, ...]
  sent: float
  times: int
  array: str
  source: str

  @property
  def bytes(self) -> float:
    """That a device sends in a step."""
    return self.sent * self.times

  def seconds(self, links: Links) -> float:
    """Of a step, without latency; neighbours in the mesh are in one domain.

    Rings through several domains cross with the network cards of all members that share a domain.
    """
    near = sum(device // links.domain == self.group[0] // links.domain for device in self.group)
    inside = self.bytes / links.speed if near > 1 else 0.0
    outside = self.bytes / (near * links.network) if near < len(self.group) else 0.0
    return max(inside, outside)


class Traffic(NamedTuple):
  """Collectives of one kind along the same axes.

  Attributes:
    kind: One of `KINDS`.
    axes: Of the mesh, joined by '+'.
    times: How many arrays a step.
    bytes: That a device sends in a step.
  """

  kind: str
  axes: str
  times: int
  bytes: float


def read(text: str, mesh: Mapping[str, int]) -> list[Collective]:
  """All collectives of a compiled program that send something.

  Args:
    text: Of the program, as `jax.stages.Compiled.as_text` gives it.
    mesh: Size by axis, of the devices in the order of the program.
  """
  program = Program(text)
  return [
    collective
    for computation, one, times in program.executed()
    if one.op.removesuffix('-start') in KINDS
    for collective in _collectives(program, computation, one, times, mesh)
    if collective.sent
  ]


def summary(found: Iterable[Collective]) -> list[Traffic]:
  """By kind and axes, the most bytes first."""
  rows = {}
  for one in found:
    old = rows.get((one.kind, one.axes), Traffic(one.kind, one.axes, 0, 0.0))
    new = old._replace(times=old.times + one.times, bytes=old.bytes + one.bytes)
    rows[one.kind, one.axes] = new
  return sorted(rows.values(), key=lambda row: -row.bytes)


def least(params: Any, itemsize: int = 4) -> float:
  """Bytes that each device must send in a step for parameters and gradients, as they are split.

  What is split over the devices that share a batch is gathered for the forward pass and again for
  the backward one, and its gradient is scattered (arXiv:1910.02054, section 7); over the devices
  that hold the same part the gradient is then reduced.

  Args:
    params: Shapes with `NamedSharding`s over a mesh whose axes but `model` share the batch.
    itemsize: Bytes of a number as it is computed with, and sent.
  """
  total = 0.0
  for leaf in jax.tree.leaves(params):
    mesh, spec = leaf.sharding.mesh.shape, set(jax.tree.leaves(tuple(leaf.sharding.spec)))
    batch = {axis: size for axis, size in mesh.items() if axis != 'model'}
    parts = math.prod(size for axis, size in batch.items() if axis in spec)
    copies = math.prod(size for axis, size in batch.items() if axis not in spec)
    held = math.prod(leaf.sharding.shard_shape(leaf.shape)) * min(itemsize, leaf.dtype.itemsize)
    total += 3 * (parts - 1) * held + 2 * (copies - 1) / copies * held
  return total


def _collectives(
  program: Program,
  computation: Computation,
  one: Instruction,
  times: int,
  mesh: Mapping[str, int],
) -> Iterator[Collective]:
  """One for each array of an instruction."""
  group, axes = _joined(one.attributes, mesh)
  source = re.search(r'op_name="([^"]*)"', one.attributes)
  arrays = list(_ARRAY.finditer(one.type))
  if one.op in ('all-gather-start', 'collective-permute-start'):  # (operands, results, ...)
    arrays = arrays[len(one.operands) : 2 * len(one.operands)]
  for index, array in enumerate(arrays):
    kind, n = one.op.removesuffix('-start'), len(group)
    elements, text = _elements(array), array[0]
    size = elements * int(array['bits'] or 8) / 8
    operand = one.operands[min(index, len(one.operands) - 1)]
    if text.startswith('f32') and program.is_narrow(computation, operand):
      size, text = size / 2, text.replace('f32', 'bf16')
    if kind == 'reduce-scatter':
      size *= n  # of the whole array
    elif kind == 'all-reduce' and _is_sliced(program, computation, one.name, index, elements / n):
      kind = 'reduce-scatter'
    sent = size * (n > 1 if kind == 'collective-permute' else (n - 1) / n)
    sent *= 2 if kind == 'all-reduce' else 1
    yield Collective(kind, axes, group, sent, times, text, source[1] if source else '')


def _is_sliced(
  program: Program, computation: Computation, name: str, index: int, part: float
) -> bool:
  """Whether nothing but a slice of `part` elements is read of a result."""
  if not (name := computation.part(name, index)):
    return False
  readers = list(program.readers(computation, name))
  return bool(readers) and all(
    one and one.op == 'dynamic-slice' and _elements(_ARRAY.match(one.type)) == part
    for one in readers
  )


def _elements(array: re.Match) -> int:
  return math.prod(int(size) for size in array['shape'].split(',') if size)


def _joined(attributes: str, mesh: Mapping[str, int]) -> tuple[tuple[int, ...], str]:
  """The first group of devices, or first pair, and the mesh axes along which they differ."""
  if 'source_target_pairs' in attributes:
    pairs = _PAIR.findall(attributes.partition('source_target_pairs=')[2].partition('}}')[0] + '}')
    moves = [(int(a), int(b)) for a, b in pairs if a != b]
    group = moves[0] if moves else (0,)
    places = np.array([_places(move, mesh) for move in moves or [(0, 0)]])
    differ = (places[..., 0] != places[..., 1]).any(axis=0)
  else:
    group = _first_group(attributes, math.prod(mesh.values()))
    places = _places(group, mesh)
    differ = (places != places[:, :1]).any(axis=1)
  return group, '+'.join(axis for axis, differs in zip(mesh, differ) if differs)


def _places(devices: Iterable[int], mesh: Mapping[str, int]) -> np.ndarray:
  """The coordinates of devices in the mesh: axes by devices."""
  return np.array(np.unravel_index(np.array(list(devices)), tuple(mesh.values())))


def _first_group(attributes: str, count: int) -> tuple[int, ...]:
  """In any of the three forms in which XLA writes groups; all devices if it writes none."""
  if found := _IOTA.search(attributes):
    return tuple(_iota(found[3]).reshape(int(found[1]), int(found[2]))[0].tolist())
  if found := _LISTED.search(attributes):
    return tuple(int(device) for device in found[1].split(','))
  if not (found := _MESH.search(attributes)):
    return tuple(range(count))
  axes = {name: int(size) for name, size, *_ in _MESH_AXIS.findall(found['mesh'])}
  devices = _iota(found['ids'] or f'[{count}]')
  # An axis may be given in part, as (what lies before it) and its own size.
  shape, chosen = [], []
  parts = {name: (before, size) for name, _, before, size in _MESH_AXIS.findall(found['axes'])}
  for name, size in axes.items():
    before, own = (int(n or size) for n in parts[name]) if name in parts else (size, 1)
    before = before if name not in parts or parts[name][0] else 1
    chosen.append(len(shape) + 1) if name in parts else None
    shape += [before, own, size // (before * own)]
  first = tuple(slice(None) if axis in chosen else 0 for axis in range(len(shape)))
  return tuple(devices.reshape(shape)[first].ravel().tolist())


def _iota(text: str) -> np.ndarray:
  """'[2,4]T(1,0)': 0, 1, ... in that shape, transposed."""
  shape, _, order = text.partition('T')
  shape = [int(size) for size in shape.strip('[]').split(',')]
  devices = np.arange(math.prod(shape)).reshape(shape)
  return (
    devices.transpose([int(axis) for axis in order.strip('()').split(',')]) if order else devices
  )
