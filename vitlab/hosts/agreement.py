"""Several processes are one run: they compare what they were started with, before the first step.

Processes of different configs, data, code or devices would train without a word and leave
checkpoints that nobody can restore; with different cadences they would wait for each other for
ever. And what only one of them finds, such as a workdir in use, the others must hear.

So they meet, in the same order everywhere: each leaves what it has, or why it cannot go on, in the
key-value store of JAX's coordination service and reads what the others left. Not by collectives,
which need as many devices in every process. One process alone agrees with itself.
"""

import contextlib
import hashlib
import itertools
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
from jax._src import distributed  # JAX has no public name for the store
from ml_collections import ConfigDict

from vitlab import workdir
from vitlab.data.identity import SPLITS
from vitlab.errors import UserError
from vitlab.workdir import provenance

# What hosts may have differently: it decides how fast they are, not what they do.
_OWN_KEYS = ('num_workers',)
_LONGEST = 60  # characters of a value in a message
_SHOWN = 6  # keys in a message
_meetings = itertools.count()


class Disagreement(UserError):
  """The processes are not one run, or one of them cannot go on: all of them know."""


def meet(values: Mapping[str, Any] | None = None) -> None:
  """Waits until every process is here, and compares what they have.

  Args:
    values: What must be the same everywhere, as JSON; nested mappings are compared key by key.

  Raises:
    Disagreement: the values differ, and lists the keys with the value of each process; or another
      process has told why it cannot go on.
  """
  store = distributed.global_state
  if store.num_processes == 1:
    return
  own = {key: _short(value) for key, value in workdir.flatten(values or {}).items()}
  number = _leave(dict(values=own))
  found = [_read(number, process) for process in range(store.num_processes)]
  for process, one in enumerate(found):
    if 'error' in one:
      raise Disagreement(f'process {process} refused to start: {one["error"]}')
  different = _differences([one['values'] for one in found])
  if different:
    shown, more = different[:_SHOWN], len(different) - _SHOWN
    raise Disagreement(
      f'the processes were not started alike: {", ".join(shown)}'
      + (f', and {more} more' if more > 0 else '')
      + '\ngive all of them the same command, code, data and number of devices'
    )


def tell(error: UserError) -> None:
  """Lets the other processes know, at their next meeting, why this one cannot go on."""
  told = isinstance(error, Disagreement)  # to all of them
  if distributed.global_state.num_processes > 1 and not told:
    with contextlib.suppress(jax.errors.JaxRuntimeError):  # they have gone
      _leave(dict(error=str(error)))


@contextlib.contextmanager
def sharing() -> Iterator[None]:
  """Tells the other processes of every `UserError` that leaves the block, or decorated function."""
  try:
    yield
  except UserError as error:
    tell(error)
    raise


def compare_start(config: ConfigDict, folder: str, sources: Any) -> None:
  """Compares all that is known before the data are.

  Args:
    config: Of the run, resolved.
    folder: The workdir.
    sources: The weights it starts from, by player; a function that finds them, or None, if the
      workdir knew them.

  Raises:
    Disagreement: as `meet`.
  """
  if distributed.global_state.num_processes == 1:
    return
  keys = {key: x for key, x in workdir.to_json(config).items() if key not in _OWN_KEYS}
  meet(
    keys
    | {
      'workdir': os.path.abspath(folder),
      'devices of a process': provenance.device(jax.local_devices()),
      'code of vitlab': f'{_code()} (commit {provenance.commit()})',
      'version of': provenance.versions(),
      'weights of': {player: source.describe() for player, source in sources.items()}
      if isinstance(sources, Mapping)
      else 'in the workdir',
    }
  )


def compare_data(facts: Mapping[str, Any]) -> None:
  """Compares what the data say of themselves, their identity included.

  Args:
    facts: What `vitlab.data.identity.check` returns.

  Raises:
    Disagreement: as `meet`.
  """
  splits = {name: dict(split) for name, split in facts[SPLITS].items()}
  meet({'facts of the data': {**facts, SPLITS: None}, 'splits of the data': splits})


def _leave(message: Mapping[str, Any]) -> int:
  """Writes this process's part of the next meeting, whose number it returns."""
  number, store = next(_meetings), distributed.global_state
  store.client.key_value_set(_key(number, store.process_id), json.dumps(message))
  return number


def _read(number: int, process: int) -> Any:
  """Waits for the part of a process. One that dies is noticed by JAX, which ends us."""
  while True:
    try:
      # Short waits: Ctrl-C is noticed between them.
      text = distributed.global_state.client.blocking_key_value_get(_key(number, process), 1000)
      return json.loads(text)
    except jax.errors.JaxRuntimeError as error:
      if 'DEADLINE_EXCEEDED' not in str(error):
        raise


def _key(number: int, process: int) -> str:
  return f'vitlab/meeting/{number}/{process}'


def _short(value: Any) -> str:
  """A value as text; what is long by its beginning and a digest of all."""
  text = json.dumps(value, default=str)
  if len(text) <= _LONGEST:
    return text
  return f'{text[: _LONGEST - 20]}... (sha256 {hashlib.sha256(text.encode()).hexdigest()[:8]})'


def _differences(values: Sequence[Mapping[str, str]]) -> list[str]:
  """The keys whose values differ, with the value of each process, in words."""
  found = []
  for key in dict.fromkeys(itertools.chain(*values)):
    processes: dict[str, list[int]] = {}
    for process, own in enumerate(values):
      processes.setdefault(own.get(key, '(absent)'), []).append(process)
    if len(processes) > 1:
      each = [f'process {_ranges(numbers)}: {value}' for value, numbers in processes.items()]
      found.append(f'{key} ({", ".join(each)})')
  return found


def _ranges(numbers: Sequence[int]) -> str:
  """0, 2, 3, 4 as '0+2-4'."""
  groups = itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
  runs = [[number for _, number in group] for _, group in groups]
  return '+'.join(str(run[0]) if len(run) == 1 else f'{run[0]}-{run[-1]}' for run in runs)


def _code() -> str:
  """A digest of the sources that run here; a commit says nothing of what was changed since."""
  root, digest = pathlib.Path(__file__).parents[1], hashlib.sha256()
  for path in sorted(root.rglob('*.py')):
    digest.update(f'{path.relative_to(root)}\n'.encode() + path.read_bytes())
  return digest.hexdigest()[:12]
