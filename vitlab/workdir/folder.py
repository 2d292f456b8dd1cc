"""The folder of a run: what is in it, who may write to it, which config may continue it.

  config.json        the config, written first: only the same config continues a run
  metrics.jsonl      one JSON object a line, each logged step exactly once, also after restarts
  events.jsonl       where its time went, see `vitlab.workdir.events`
  events.out.*       the same numbers for TensorBoard
  checkpoints/       state of the run, see `vitlab.workdir.checkpoint`
  details/<x>.npz    arrays of the latest evaluation of evaluator x (confusion matrix, ...)
  facts.json         facts of the data set: class names, preprocessing, and what its splits hold
  init_from.json     where the first weights came from, if not from chance: files, sha256, pictures
  result.json        written last and at once: a run that has it is finished
  report.html        the page, see `vitlab.report`

Files that a reader may open at any moment are replaced in one step (written beside, then renamed).
"""

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from vitlab import config as config_lib
from vitlab.errors import UserError
from vitlab.workdir.files import (
  CHECKPOINTS,
  CONFIG,
  DETAILS,
  EVENTS,
  FACTS,
  LOCK,
  METRICS,
  REPORT,
  RESULT,
  flatten,
  from_json,
  read_json,
  to_json,
  write_json,
)

_FILES, _FOLDERS = (CONFIG, FACTS, RESULT, METRICS, EVENTS, LOCK, REPORT), (DETAILS, CHECKPOINTS)

# Keys that may change between the sessions of one run: none of them moves a parameter. (`mesh` and
# `sharding_rules` only move where the parameters lie, to within rounding.)
FREE_KEYS = ('checkpoint', 'evaluators', 'log_every', 'max_corrupt', 'num_workers')
FREE_KEYS += ('mesh', 'sharding_rules')

_ABSENT = '(absent)'


def read_config(folder: pathlib.Path) -> dict[str, Any] | None:
  """config.json; None if it is not readable. Keys that came after the run have their defaults.

  Raises:
    UserError: it is that of weights that timm or Hugging Face saved.
  """
  stored = read_json(folder / CONFIG)
  if stored is not None and not {'architecture', 'model_type'}.isdisjoint(stored):
    raise UserError(f"'{folder}' holds weights of somebody, not a run: choose another --workdir")
  return {**to_json(config_lib.base()), **stored} if stored is not None else None


def stored_config(folder: str) -> ConfigDict:
  """The config of the run in a workdir.

  Raises:
    UserError: no run has been there.
  """
  value = read_config(pathlib.Path(folder))
  if value is None:
    raise UserError(
      f'workdir {folder!r} holds no run: its {CONFIG} is missing or damaged'
      '\ngive the --workdir of a training, or train first: --mode=train --config=...'
    )
  return from_json(value)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
  """The keys (a.b.c) in which two configs of config.json differ, with both values."""
  flat_old, flat_new = flatten(old), flatten(new)
  pairs = [(k, flat_old.get(k, _ABSENT), flat_new.get(k, _ABSENT)) for k in flat_old | flat_new]
  return [(key, a, b) for key, a, b in pairs if a != b]


def check(path: str, config: ConfigDict) -> dict[str, Any] | None:
  """Whether a run of this config may live in the folder `path`; writes nothing.

  Returns:
    The result of the run when it is finished, else None.

  Raises:
    UserError: the path cannot be a folder of ours or holds the run of a different config.
  """
  folder = _writable(path)
  stored = read_config(folder)
  if stored is None:
    if (folder / CHECKPOINTS).exists():
      raise UserError(
        f'workdir {path!r} has checkpoints but no readable {CONFIG}, so nobody knows what they are'
        '\nrestore that file, choose another --workdir, or delete the folder'
      )
    return None
  changed = [
    d for d in differences(stored, to_json(config)) if d[0].partition('.')[0] not in FREE_KEYS
  ]
  if changed:
    raise _other_config(path, changed)
  return read_result(folder)


@contextlib.contextmanager
def claim(path: str, config: ConfigDict) -> Iterator[pathlib.Path]:
  """Creates the folder, holds its lock and writes config.json; yields the folder.

  The lock belongs to the process, so a killed run leaves nothing to clean up.

  Raises:
    UserError: as `check`; or another process holds the folder.
  """
  check(path, config)
  with hold(path) as folder:
    check(path, config)  # again: the folder may have changed before it was ours
    write_json(folder / CONFIG, to_json(config))
    yield folder


@contextlib.contextmanager
def hold(path: str) -> Iterator[pathlib.Path]:
  """Creates a folder of runs and holds its lock, which belongs to the process; yields the folder.

  Raises:
    UserError: the path cannot be a folder of ours, or another process holds it.
  """
  folder = _writable(path)
  try:
    folder.mkdir(parents=True, exist_ok=True)
    lock = open(folder / LOCK, 'a+')  # noqa: SIM115 - held until the run ends
  except OSError as error:
    raise UserError(f'workdir {path!r}: {error.strerror}: choose another --workdir') from error
  with lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      lock.seek(0)
      raise UserError(
        f'workdir {path!r} is in use by process {lock.read().strip() or "?"}'
        '\nwait for it, stop it, or choose another --workdir'
      ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    yield folder


def is_held(folder: pathlib.Path) -> bool:
  """Whether a process holds the lock of a folder at this moment."""
  with contextlib.suppress(FileNotFoundError), open(folder / LOCK) as lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
      return True
  return False


def require_space(path: str, size: int) -> None:
  """Refuses to start a run whose checkpoints do not fit on the disk.

  Args:
    path: the workdir, which need not exist yet.
    size: bytes that will be written.

  Raises:
    UserError: less than that is free.
  """
  free = shutil.disk_usage(_existing(pathlib.Path(path))).free
  if free < size:
    raise UserError(
      f'workdir {path!r} has {free / 1e9:.2f} GB free, its checkpoints need {size / 1e9:.2f} GB'
      '\nfree some space, choose another --workdir, or keep fewer (--config.checkpoint.keep)'
    )


def read_result(folder: pathlib.Path) -> dict[str, Any] | None:
  """result.json; None if the run is not finished, or the file is damaged."""
  result = read_json(folder / RESULT) or {}
  return result if {'metrics', 'steps', 'seconds'} <= result.keys() else None


def _existing(path: pathlib.Path) -> pathlib.Path:
  """The path itself or its nearest parent that exists."""
  return next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())


def _writable(path: str) -> pathlib.Path:
  if not path.strip():
    raise UserError('--workdir is empty: give a folder, or leave the flag out for runs/<config>')
  folder = pathlib.Path(path)
  nearest = _existing(folder)
  if not nearest.is_dir():
    raise UserError(f'workdir {path!r}: {str(nearest)!r} is a file: choose another --workdir')
  if not os.access(nearest, os.W_OK | os.X_OK):
    raise UserError(f'workdir {path!r}: no right to write in {str(nearest)!r}: choose another one')
  for name in (*_FILES, *_FOLDERS):
    if (folder / name).exists() and (folder / name).is_dir() != (name in _FOLDERS):
      kind = 'file' if name in _FOLDERS else 'folder'
      raise UserError(f'workdir {path!r}: {name} must not be a {kind}: restore or remove it')
  return folder


def _other_config(path: str, changed: Sequence[tuple[str, Any, Any]]) -> UserError:
  shown = ', '.join(f'{key} {_short(old)} -> {_short(new)}' for key, old, new in changed[:6])
  more = f', and {len(changed) - 6} more' if len(changed) > 6 else ''
  return UserError(
    f'workdir {path!r} holds a run of another config (there -> now): {shown}{more}'
    '\nto continue that run give its values again; to start this one choose another --workdir,'
    f'\nor delete it first: rm -r {path}'
  )


def _short(value: Any) -> str:
  text = value if value == _ABSENT else json.dumps(value)
  return text if len(text) <= 40 else text[:37] + '...'
