"""Which device holds which part of the state: one set of rules, the mesh picks the layout.

The mesh has three axes. The batch is split over `data` and `fsdp`; parameters are split over `fsdp`
(and gathered when needed, ZeRO-3, arXiv:1910.02054) and over `model` (heads and hidden units,
Megatron, arXiv:1909.08053), and replicated over `data`. An axis of size 1 does nothing, so that
data=8, fsdp=8 and data=2, fsdp=2, model=2 are the same program with the same rules.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from vitlab import names
from vitlab.errors import UserError, unknown
from vitlab.tasks import BY_ROW
from vitlab.train.step import State

AXES = ('data', 'fsdp', 'model')
BATCH = P(('data', 'fsdp'))


def make_mesh(sizes: Mapping[str, Any], devices: Sequence[jax.Device] | None = None) -> Mesh:
  """The mesh with axes data, fsdp, model.

  Args:
    sizes: Size by axis; one that is left out is 1, and one may be -1: the devices that are left.
    devices: All there are by default.

  Raises:
    UserError: an unknown axis, sizes that are not the number of devices.
  """
  count = len(devices or jax.devices())
  for axis, size in sizes.items():
    if axis not in AXES:
      raise unknown('axis in config.mesh', axis, AXES)
    if isinstance(size, bool) or not isinstance(size, int) or (size < 1 and size != -1):
      raise UserError(f'config.mesh.{axis}={size!r}: expected a number >= 1, or -1 for the rest')
  given = ', '.join(f'{axis}={size}' for axis, size in sizes.items())
  shape = [sizes.get(axis, 1) for axis in AXES]
  if shape.count(-1) > 1:
    raise UserError(f'config.mesh {given}: only one axis can be -1 (the devices that are left)')
  known = math.prod(size for size in shape if size != -1)
  if -1 in shape and count % known == 0:
    shape[shape.index(-1)] = count // known
  elif known != count:
    raise UserError(
      f'config.mesh {given}: the sizes must multiply to the {count} devices there are; '
      'set one axis to -1 to take what is left'
    )
  return jax.make_mesh(shape, AXES, axis_types=(AxisType.Auto,) * 3, devices=devices)


def check_batch_size(batch_size: int, mesh: Mesh, microbatches: int = 1) -> None:
  """Makes sure that every device has the same number of rows of every microbatch.

  Raises:
    UserError: the batch does not divide.
  """
  if microbatches < 1:
    raise UserError(f'config.microbatches={microbatches}: expected a whole number >= 1')
  data, fsdp = mesh.shape['data'], mesh.shape['fsdp']
  parts = data * fsdp * microbatches
  if batch_size < 1 or batch_size % parts:
    near = max(1, round(batch_size / parts)) * parts
    raise UserError(
      f'config.batch_size={batch_size} is not a multiple of {parts} = mesh data {data} x fsdp '
      f'{fsdp} x microbatches={microbatches}; {near} is'
    )


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """Rows over data and fsdp, all else whole."""
  return NamedSharding(mesh, BATCH)


def state_shardings(state: State, mesh: Mesh, rules: Sequence[tuple[str, Any]] = ()) -> State:
  """Where each array of the state lies: a `State` of `NamedSharding`.

  Parameters follow, in this order: the first rule that matches; tensor parallelism of attention and
  MLP over `model`, where heads and hidden units divide; the largest axis that divides over `fsdp`
  (never the depth of stacked blocks: a scan would gather all of them at once). Optimiser state and
  average follow their parameter. Collections of `vitlab.tasks.BY_ROW` lie as the batch; others are
  replicated, unless a rule matches.

  Args:
    state: The state, or its shapes.
    mesh: From `make_mesh`.
    rules: (regex, axes) pairs. The regex is searched in the name of a parameter, or in
      'collection/name' for other collections. Axes are a tuple with None, a mesh axis or a tuple of
      mesh axes for each axis of the array (missing ones are None), or the word 'replicated'.

  Raises:
    UserError: a rule that matches nothing, has unknown axes or does not fit the array.
  """
  _check_rules(rules, state.variables)

  def variable(path, leaf):
    if path[1].key in BY_ROW:
      return batch_sharding(mesh)
    name = names.join(path[2:] if path[1].key == 'params' else path[1:])
    return NamedSharding(mesh, _spec(name, leaf.shape, mesh, rules, path[1].key == 'params'))

  variables = jax.tree_util.tree_map_with_path(variable, state.variables)
  params = {player: names.flatten(tree['params']) for player, tree in state.variables.items()}
  placed = {player: names.flatten(tree['params']) for player, tree in variables.items()}

  def follower(path, leaf):
    """The sharding of the parameter whose name ends the path, if the shapes agree too."""
    player, parts = path[0].key, names.join(path[1:]).split('/')
    for start in range(len(parts)):
      name = '/'.join(parts[start:])
      if name in params[player] and params[player][name].shape == leaf.shape:
        return placed[player][name]
    return NamedSharding(mesh, P())

  opt_state = jax.tree_util.tree_map_with_path(follower, state.opt_state)
  ema = {
    player: {name: variables[player][name] for name in collections}
    for player, collections in state.ema.items()
  }
  return State(NamedSharding(mesh, P()), variables, opt_state, ema)


def _check_rules(rules: Sequence[tuple[str, Any]], variables: Mapping[str, Any]) -> None:
  every = [
    name
    for collections in variables.values()
    for name in [
      *names.flatten(collections['params']),
      *names.flatten({key: tree for key, tree in collections.items() if key != 'params'}),
    ]
  ]
  for regex, axes in rules:
    names.matching(regex, every, 'config.sharding_rules')
    for axis in jax.tree.leaves(axes):
      if axis not in AXES and axes != 'replicated':
        raise unknown(f'mesh axis in the sharding rule for {regex!r}', str(axis), AXES)


def _spec(
  name: str, shape: tuple[int, ...], mesh: Mesh, rules: Sequence[tuple[str, Any]], is_param: bool
) -> P:
  for regex, axes in rules:
    if re.search(regex, name):
      return _fitting(name, shape, mesh, () if axes == 'replicated' else axes)
  if not is_param:
    return P()
  spec: list[str | None] = [None] * len(shape)
  model, fsdp = mesh.shape['model'], mesh.shape['fsdp']
  axis = names.tensor_parallel_axis(name)
  if axis is not None and model > 1 and shape[axis] % model == 0:
    spec[axis] = 'model'
  first = int(names.is_stacked(name))
  free = [
    axis for axis in range(first, len(shape)) if spec[axis] is None and shape[axis] % fsdp == 0
  ]
  if fsdp > 1 and free:
    spec[max(free, key=lambda axis: shape[axis])] = 'fsdp'
  return P(*spec)


def _fitting(name: str, shape: tuple[int, ...], mesh: Mesh, axes: Sequence[Any]) -> P:
  """A user's rule as a spec.

  Raises:
    UserError: it has more axes than the array, or splits one that does not divide.
  """
  spec = [tuple(axis) if isinstance(axis, (list, tuple)) else axis for axis in axes]
  parts = [math.prod(mesh.shape[axis] for axis in jax.tree.leaves(entry)) for entry in spec]
  if len(spec) > len(shape) or any(size % part for size, part in zip(shape, parts)):
    raise UserError(
      f'sharding rule {tuple(axes)} for {name}: the array is {shape} and would be split in {parts}'
    )
  return P(*spec)
