"""The state before the first step: random, or with loaded weights in their places."""

import types
from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import Mesh
from jaxtyping import PyTree

from vitlab.errors import UserError, unknown
from vitlab.hosts import machine

Sources = Mapping[str, Any] | Callable[[], Mapping[str, Any]]  # by player, or what finds them

LESS = {'xla_backend_optimization_level': 1}  # on a CPU: half the time to compile, to the same bits


def jit_once(function: Callable, mesh: Mesh, **options: Any) -> Callable:
  """`jax.jit` of what runs once, such as the hundreds of small kernels of an init.

  On a CPU it is optimised less.
  """
  on_cpu = mesh.devices.flat[0].platform == 'cpu'
  return jax.jit(function, compiler_options=LESS if on_cpu else None, **options)


def overlay(variables: PyTree, loaded: PyTree) -> PyTree:
  """Variables with those that were loaded in their places."""
  if not isinstance(variables, Mapping):
    return loaded
  return {
    name: overlay(tree, loaded[name]) if name in loaded else tree
    for name, tree in variables.items()
  }


class Start:
  """() -> the state before the first step, with what was loaded in its place.

  Args:
    init: Loaded variables, player -> tree, perhaps parts of it -> state; compiled as one program.
    abstract: Shapes of all variables, with shardings.
    sources: Weights by player, or by a part of one ('model/backbone'), see
      `vitlab.train.weights.Weights`; or a function that finds them, for when they are needed; None:
      everything is random.
    frozen: Players that do not learn: they need sources.
    data: What sources are told of the data set: its facts, and how classes are matched.
  """

  def __init__(
    self,
    init: Callable[[PyTree], Any],
    abstract: PyTree,
    sources: Sources | None = None,
    frozen: Collection[str] = (),
    data: Mapping[str, Any] = types.MappingProxyType({}),
  ):
    self._init, self._abstract, self._frozen, self._data = init, abstract, frozen, data
    self._sources = dict if sources is None else sources
    self._loaded: dict[str, PyTree] | None = None

  def prepare(self) -> None:
    """Loads sources that have been found, and keeps what they gave until it is used.

    Raises:
      UserError: they do not fit the model, and lists what is missing, left over or misshapen; or
        there are none for a player that does not learn.
    """
    if isinstance(self._sources, Mapping):
      for player in sorted(set(self._frozen) - self._sources.keys()):
        raise UserError(
          f'the {player} does not learn and has no weights: what it says would be noise'
          f'\ngive it a file, folder or workdir: config.init_from=dict({player}=...)'
        )
      self._loaded = self._load(self._sources)

  def __call__(self) -> Any:
    if self._loaded is None:
      self.prepare()
    if self._loaded is None:
      self._loaded = self._load(self._sources())
    loaded, self._loaded = _place(self._loaded, self._abstract), None
    state = jax.block_until_ready(self._init(loaded))
    machine.trim_allocator()  # what the compiler has used and the copies
    return state

  def _load(self, sources: Mapping[str, Any]) -> dict[str, PyTree]:
    loaded = {}
    for name, source in sources.items():
      player, _, part = name.partition('/')
      if player not in self._abstract:
        raise unknown('player in config.init_from', player, self._abstract)
      like = self._abstract[player]
      if part:
        like = {collection: tree[part] for collection, tree in like.items() if part in tree}
      found = source.load(like, **self._data)
      if part:
        found = {collection: {part: tree} for collection, tree in found.items()}
      loaded |= flatten_dict({player: found})
    return unflatten_dict(loaded)


def _place(loaded: PyTree, abstract: PyTree) -> PyTree:
  """Arrays that every process has -> arrays that lie as the state does, over all devices."""
  if isinstance(loaded, Mapping):
    return {name: _place(tree, abstract[name]) for name, tree in loaded.items()}
  array = np.asarray(loaded, abstract.dtype)
  return jax.make_array_from_callback(array.shape, abstract.sharding, lambda i: array[i])
