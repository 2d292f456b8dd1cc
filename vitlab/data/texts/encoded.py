"""A text as tokens in files: encoded once per text and tokenizer, then mapped into memory.

The tokens of a split lie one document after the other, with the token that ends a document between
them where the vocabulary has one. The files are written beside their place and then moved there, so
that whoever finds them finds them whole; any number of processes may want them at once. What does
not have the checksum that it should is made anew.
"""

import contextlib
import functools
import hashlib
import itertools
import json
import logging
import os
import pathlib
import shutil
import uuid
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from vitlab.data.texts.documents import Piece
from vitlab.data.vocabularies import Vocabulary
from vitlab.errors import UserError

_log = logging.getLogger(__name__)
_VERSION = 1
_ABOUT = 'about.json'
_TOGETHER = 64  # pieces that are encoded at a time
_CHECKED = 2**30  # bytes: of a larger file only the size is
_BLOCK = 2**22

Build = Callable[[pathlib.Path], Mapping[str, Any]]  # writes files to a folder, says what they are


class Encoded:
  """The tokens of a split; pickles as the path of its file.

  Attributes:
    documents: How many there are.
    characters: Of the text.
    bytes: Of the text, as UTF-8.
    between: How many tokens stand between two documents.
    checksum: Of the tokens.

  Args:
    path: Of the file.
    about: What `write` said of it.
  """

  def __init__(self, path: pathlib.Path, about: Mapping[str, Any]):
    self._path, self._dtype, self._length = path, about['dtype'], about['tokens']
    self.documents, self.between = about['documents'], about['between']
    self.characters, self.bytes = about['characters'], about['bytes']
    self.checksum = about['checksum']

  def __len__(self) -> int:
    return self._length

  @functools.cached_property
  def tokens(self) -> Int[np.ndarray, ' t'] | np.ndarray:
    """All of them, where they lie on the disk."""
    return np.memmap(self._path, self._dtype, 'r', shape=(self._length,))

  @functools.cached_property
  def spans(self) -> Int[np.ndarray, 'documents 2']:
    """Where each document begins and ends."""
    ends = np.load(_ends(self._path))
    return np.stack([np.concatenate([[0], ends[:-1] + self.between]), ends], axis=1)

  def is_whole(self) -> bool:
    """Whether the files are what was written."""
    if not self._path.is_file() or not _ends(self._path).is_file():
      return False
    size = self._path.stat().st_size
    if size != self._length * np.dtype(self._dtype).itemsize:
      return False
    if len(self.spans) != self.documents or size > _CHECKED:
      return len(self.spans) == self.documents
    checksum = 0
    with open(self._path, 'rb') as file:
      while block := file.read(_BLOCK):
        checksum = zlib.crc32(block, checksum)
    return checksum == self.checksum

  def __getstate__(self) -> dict[str, Any]:
    return {k: v for k, v in self.__dict__.items() if k not in ('tokens', 'spans')}


def cached(key: Iterable[str], build: Build, folder: str) -> tuple[str, dict[str, Encoded]]:
  """The vocabulary and the encoded splits of a key, made if they are not there.

  Args:
    key: Everything that they depend on.
    build: Writes the splits with `write` and returns dict(tokenizer=text, splits=what it said).
    folder: Of all that is kept; '' is $XDG_CACHE_HOME/vitlab/text or ~/.cache/vitlab/text.

  Raises:
    UserError: nothing can be written there.
  """
  name = hashlib.sha256(json.dumps([_VERSION, *key]).encode()).hexdigest()[:24]
  root = pathlib.Path(folder).expanduser() if folder else _home() / 'vitlab' / 'text'
  place = root / name
  if found := _open(place):
    return found
  beside = root / f'.{name}.{uuid.uuid4().hex}'
  try:
    beside.mkdir(parents=True)
    about = build(beside)
    (beside / _ABOUT).write_text(json.dumps(about), encoding='utf-8')
    _move(beside, place)
  except OSError as error:
    raise UserError(
      f'the encoded text cannot be kept in {root}: {error.strerror or error}\n'
      'set data.cache to a folder with space that can be written'
    ) from None
  finally:
    shutil.rmtree(beside, ignore_errors=True)
  return _open(place)


def write(pieces: Iterable[Piece], vocabulary: Vocabulary, path: pathlib.Path) -> dict[str, Any]:
  """Encodes documents into a file, in memory that does not grow with them.

  Returns:
    What `Encoded` needs to know.
  """
  dtype = np.dtype('<u2' if len(vocabulary) <= 2**16 else '<u4')
  end = vocabulary.special.end
  between = np.array([] if end is None else [end], dtype)
  ends: list[int] = []
  checksum = tokens = characters = size = 0
  with open(path, 'wb') as file:

    def put(row: np.ndarray) -> None:
      nonlocal checksum, tokens
      content = row.astype(dtype).tobytes()
      checksum, tokens = zlib.crc32(content, checksum), tokens + len(row)
      file.write(content)

    begun = True  # the document that the next piece belongs to
    pieces = iter(pieces)
    while batch := list(itertools.islice(pieces, _TOGETHER)):
      for (text, last), row in zip(batch, vocabulary.encode([text for text, _ in batch])):
        if not begun:
          put(between)
        put(row)
        begun = not last
        characters, size = characters + len(text), size + len(text.encode())
        if last:
          ends.append(tokens)
  np.save(_ends(path), np.array(ends, np.int64))
  about = dict(dtype=dtype.str, tokens=tokens, documents=len(ends), between=len(between))
  return about | dict(characters=characters, bytes=size, checksum=checksum)


def _ends(path: pathlib.Path) -> pathlib.Path:
  return path.with_suffix('.ends.npy')


def _open(place: pathlib.Path) -> tuple[str, dict[str, Encoded]] | None:
  if not place.exists():
    return None
  try:
    about = json.loads((place / _ABOUT).read_text(encoding='utf-8'))
    splits = {s: Encoded(place / f'{s}.tokens', known) for s, known in about['splits'].items()}
    if all(split.is_whole() for split in splits.values()):
      return about['tokenizer'], splits
  except (OSError, ValueError, KeyError, TypeError, EOFError):
    pass
  _log.warning('%s is damaged: the text is encoded anew', place)
  return None


def _move(beside: pathlib.Path, place: pathlib.Path) -> None:
  """Puts a folder in its place, unless somebody else has done it meanwhile."""
  try:
    os.rename(beside, place)
  except OSError:
    if not place.is_dir():
      raise
    if _open(place):
      return
    damaged = beside.with_name(f'{beside.name}.damaged')
    with contextlib.suppress(FileNotFoundError):  # somebody else has seen it, too
      os.rename(place, damaged)
    shutil.rmtree(damaged, ignore_errors=True)
    _move(beside, place)


def _home() -> pathlib.Path:
  return pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache')
