"""One step of a run as it lies on the disk: written with its fingerprint, verified when read.

Layout of a step's folder (orbax): `state/` holds the arrays, `meta/` one JSON object

  {'step', 'meta' (the caller's), 'metrics', 'leaves': {name: [dtype, shape, fingerprint]},
   'digest' (of all the others)}

Nothing is believed unverified: the JSON has its digest, every array its fingerprint. Whatever goes
wrong while reading is `Damaged`, so that the caller can turn to another step; a state that does not
fit what the caller wants is the user's mistake, a `UserError`.
"""

import hashlib
import json
import logging
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jax.experimental import multihost_utils

from vitlab.errors import UserError
from vitlab.workdir import fingerprint


class Damaged(Exception):
  """A stored step that cannot be read or is not what was saved."""


class Stored(NamedTuple):
  """What a step holds besides its arrays."""

  step: int
  meta: dict[str, Any]
  metrics: dict[str, float]
  leaves: dict[str, fingerprint.Leaf]


def pack(
  step: int, state: Any, meta: Mapping[str, Any], metrics: Mapping[str, float]
) -> ocp.args.Composite:
  """What orbax is asked to write for a step; blocks until the fingerprint is computed."""
  _hush_stragglers()
  leaves = {name: list(leaf) for name, leaf in fingerprint.leaves(state).items()}
  body = dict(step=step, meta=dict(meta), metrics=dict(metrics), leaves=leaves)
  # A copy, and as it will be read back: lists for tuples, strings for keys. Orbax writes it later,
  # in a thread, when the caller may already have changed what lies inside `meta`.
  body = json.loads(json.dumps(body))
  body['digest'] = _digest(body)
  return ocp.args.Composite(
    state=ocp.args.StandardSave(_without_empty(state)), meta=ocp.args.JsonSave(body)
  )


def read_meta(folder: epath.Path) -> Stored:
  """Everything but the arrays.

  Raises:
    Damaged: the file is missing or not what was written.
  """
  try:
    body = json.loads((folder / 'meta' / 'metadata').read_text())
    digest = body.pop('digest')
    leaves = {name: fingerprint.Leaf(d, tuple(s), v) for name, (d, s, v) in body['leaves'].items()}
    stored = Stored(body['step'], body['meta'], body['metrics'], leaves)
  except PermissionError as error:
    raise UserError(f'checkpoint {folder} may not be read by this user') from error
  except Exception as error:
    raise Damaged(f'meta: {_first_line(error)}') from error
  if digest != _digest(body):
    raise Damaged('meta: not what was saved')
  if str(stored.step) != folder.name:
    raise Damaged(f'meta: belongs to step {stored.step}')
  return stored


def read_state(folder: epath.Path, stored: Stored, abstract: Any) -> Any:
  """The state, laid out as asked.

  Args:
    folder: the step's folder.
    stored: `read_meta(folder)`.
    abstract: tree of `jax.ShapeDtypeStruct` with shardings, on any mesh.

  Raises:
    UserError: names, shapes or types of the state differ from the wanted ones. (Orbax alone would
      cast silently.)
    Damaged: the arrays cannot be read or are not what was saved.
  """
  _check_fits(folder, stored.leaves, abstract)
  handler = ocp.StandardCheckpointHandler()
  # The handler, not the manager: the manager ends with a barrier that a process with a read error
  # would never reach.
  arguments = ocp.args.StandardRestore(_without_empty(abstract))
  state = _read(lambda: handler.restore(folder / 'state', args=arguments))
  state = _with_empty(abstract, state)
  _verify(stored.leaves, state)
  return state


def read_arrays(
  folder: epath.Path, stored: Stored, parts: Sequence[str], alone: bool = False
) -> dict[str, Any]:
  """The named fields of the state as nested dicts of NumPy arrays, without knowing their structure.

  Raises:
    Damaged: as in `read_state`.
  """
  wanted = {n: leaf for n, leaf in stored.leaves.items() if n.split('/')[0] in parts}
  full = {name: leaf for name, leaf in wanted.items() if np.prod(leaf.shape) > 0}
  tree = _nest({name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in full.items()})
  restore_args = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
  arguments = ocp.args.PyTreeRestore(item=tree, restore_args=restore_args, partial_restore=True)
  handler = ocp.PyTreeCheckpointHandler()
  arrays = _read(lambda: handler.restore(folder / 'state', args=arguments), alone) if tree else {}
  named = fingerprint.named_leaves(arrays)
  empty = {n: np.zeros(leaf.shape, leaf.dtype) for n, leaf in wanted.items() if n not in full}
  _verify(wanted, named | empty)
  return {part: {} for part in parts} | _nest(named | empty)


def same_everywhere(value: Any) -> bool:
  """Whether all processes have the same numbers; every process must ask at the same point."""
  if jax.process_count() == 1:
    return True
  gathered = multihost_utils.process_allgather(np.asarray(value))
  return bool(np.all(gathered == gathered[0]))


def _digest(body: Any) -> str:
  text = json.dumps(body, sort_keys=True)
  return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _is_empty(leaf: Any) -> bool:
  return 0 in np.shape(leaf)


def _without_empty(tree: Any) -> Any:
  """Orbax refuses arrays of zero size; `None` keeps their place."""
  return jax.tree.map(lambda leaf: None if _is_empty(leaf) else leaf, tree)


def _with_empty(abstract: Any, tree: Any) -> Any:
  def fill(wanted: Any, leaf: Any) -> Any:
    if leaf is None:
      return jnp.zeros(wanted.shape, wanted.dtype, device=wanted.sharding)
    return leaf

  return jax.tree.map(fill, abstract, tree)


def _nest(named: Mapping[str, Any]) -> dict[str, Any]:
  tree: dict[str, Any] = {}
  for name, leaf in named.items():
    *path, last = name.split('/')
    node = tree
    for key in path:
      node = node.setdefault(key, {})
    node[last] = leaf
  return tree


def _read(restore: Any, alone: bool = False) -> Any:
  """Runs a read; unless `alone`, all processes agree whether it went well before any goes on."""
  problem = result = None
  _hush_stragglers()
  try:
    result = restore()
  except (MemoryError, jax.errors.JaxRuntimeError):
    raise  # too little memory is not the file's fault
  except PermissionError as error:
    raise UserError(f'checkpoint may not be read by this user: {error}') from error
  except Exception as error:
    problem = _first_line(error)
  agreed = alone or same_everywhere(problem is None)
  if problem or not agreed:
    raise Damaged(f'state: {problem or "another process could not read it"}')
  return result


def _hush_stragglers() -> None:
  """Drops what Python prints about the other reads or writes of orbax when one of them fails.

  They go on in threads whose event loop is gone and report that one by one, minutes of scrolling,
  where one line is due. From now on, for they may be late.
  """
  previous, shown = sys.unraisablehook, sys.excepthook
  if getattr(previous, '__name__', '') == '_straggler_hook':
    return

  def is_late(error: BaseException | None) -> bool:
    return str(error) == 'Event loop is closed'

  def _straggler_hook(unraisable: Any) -> None:
    late = is_late(unraisable.exc_value)
    code = getattr(unraisable.object, 'cr_code', None)
    if not late and not (code and '/orbax/' in code.co_filename):
      previous(unraisable)

  sys.unraisablehook = _straggler_hook
  # The storage's own threads print by this one.
  sys.excepthook = lambda kind, error, at: None if is_late(error) else shown(kind, error, at)
  warnings.filterwarnings('ignore', message='coroutine .* was never awaited')
  logging.getLogger('asyncio').addFilter(
    lambda record: 'exception was never retrieved' not in record.getMessage()
  )


def _verify(leaves: Mapping[str, fingerprint.Leaf], tree: Any) -> None:
  named = fingerprint.named_leaves(tree)
  # Of a leaf that the stored description has lost orbax returns what it was asked for, a shape.
  arrays = {name: x for name, x in named.items() if isinstance(x, (jax.Array, np.ndarray))}
  found = fingerprint.leaves(arrays)
  wrong = [name for name, leaf in leaves.items() if found.get(name) != leaf]
  if wrong or len(found) != len(leaves):
    more = f' and {len(wrong) - 1} more' if len(wrong) > 1 else ''
    raise Damaged(f'state: {wrong[0] if wrong else "tree"}{more} not what was saved')


def _check_fits(folder: epath.Path, leaves: Mapping[str, fingerprint.Leaf], abstract: Any) -> None:
  stored = {name: f'{leaf.dtype}{list(leaf.shape)}' for name, leaf in leaves.items()}
  wanted = {
    name: f'{leaf.dtype}{list(leaf.shape)}'
    for name, leaf in fingerprint.named_leaves(abstract).items()
  }
  names = [n for n in (stored | wanted) if stored.get(n) != wanted.get(n)]
  if names:
    name, more = names[0], f' (and {len(names) - 1} more)' if len(names) > 1 else ''
    raise UserError(
      f'checkpoint {folder} does not fit this config: {name} is '
      f'{stored.get(name, "absent")} there, {wanted.get(name, "absent")} here{more}\n'
      'a checkpoint is restored only into the same model and optimiser, on any devices\n'
      'use the config it was written with (config.json beside it) or another --workdir'
    )


def _first_line(error: BaseException) -> str:
  while error.__cause__:  # orbax wraps what the storage says
    error = error.__cause__
  lines = str(error).strip().splitlines() or ['']
  return f'{type(error).__name__}: {lines[0]}'[:160]
