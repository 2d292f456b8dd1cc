"""What takes long to prepare and depends on nothing but its key, kept in a folder.

It is written beside its place and then moved there, so that whoever finds it finds it whole; any
number of processes may want it at once. What is damaged is made anew, and what was deleted: nothing
is deleted here, where other runs may be reading it, but a folder that has become large is named.
"""

import contextlib
import hashlib
import json
import logging
import os
import pathlib
import shutil
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from vitlab.errors import UserError

_log = logging.getLogger(__name__)
_VERSION = 1
_ABOUT = 'about.json'
_LARGE = 10**10  # bytes in the folder, from which on every text that is added says how many

Found = TypeVar('Found')
Build = Callable[[pathlib.Path], Mapping[str, Any]]
Open = Callable[[pathlib.Path, Mapping[str, Any]], Found | None]


def cached(key: Iterable[str], build: Build, opened: Open[Found], folder: str) -> Found:
  """What a key stands for, made if it is not there.

  Args:
    key: Everything that it depends on.
    build: Writes files to a folder, and says as plain JSON what they are.
    opened: From that folder and what was said, what is wanted; None if it is damaged.
    folder: Of all that is kept; '' is $XDG_CACHE_HOME/vitlab/text or ~/.cache/vitlab/text.

  Raises:
    UserError: nothing can be written there.
  """
  name = hashlib.sha256(json.dumps([_VERSION, *key]).encode()).hexdigest()[:24]
  root = pathlib.Path(folder).expanduser() if folder else _home() / 'vitlab' / 'text'
  place = root / name
  found = _open(place, opened)
  if found is not None:
    return found
  beside = root / f'.{name}.{uuid.uuid4().hex}'
  try:
    beside.mkdir(parents=True)
    about = build(beside)
    (beside / _ABOUT).write_text(json.dumps(about), encoding='utf-8')
    _move(beside, place, opened)
    _say_size(root)
  except OSError as error:
    raise UserError(
      f'the encoded text cannot be kept in {root}: {error.strerror or error}\n'
      'set data.cache to a folder with space that can be written'
    ) from None
  finally:
    shutil.rmtree(beside, ignore_errors=True)
  return _open(place, opened)


def _open(place: pathlib.Path, opened: Open[Found]) -> Found | None:
  if not place.exists():
    return None
  damage = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)
  with contextlib.suppress(*damage):
    found = opened(place, json.loads((place / _ABOUT).read_text(encoding='utf-8')))
    if found is not None:
      return found
  _log.warning('%s is damaged: the text is encoded anew', place)
  return None


def _move(beside: pathlib.Path, place: pathlib.Path, opened: Open[Found]) -> None:
  """Puts a folder in its place, unless somebody else has done it meanwhile."""
  try:
    os.rename(beside, place)
  except OSError:
    if not place.is_dir():
      raise
    if _open(place, opened) is not None:
      return
    damaged = beside.with_name(f'{beside.name}.damaged')
    with contextlib.suppress(FileNotFoundError):  # somebody else has seen it, too
      os.rename(place, damaged)
    shutil.rmtree(damaged, ignore_errors=True)
    _move(beside, place, opened)


def _say_size(root: pathlib.Path) -> None:
  size = 0
  for folder, _, files in os.walk(root):  # which passes over what others have just moved
    for name in files:
      with contextlib.suppress(FileNotFoundError):
        size += os.path.getsize(os.path.join(folder, name))
  if size > _LARGE:
    _log.warning(
      '%s holds %.1f GB of encoded texts: delete it, or old folders in it, while no run reads them',
      *(root, size / 1e9),
    )


def _home() -> pathlib.Path:
  return pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache')
