"""A text as tokens in files: encoded once per text and tokenizer, then mapped into memory.

The tokens of a split lie one document after the other, with the token that ends a document between
them where the vocabulary has one.
"""

import functools
import itertools
import pathlib
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from vitlab.data.texts.documents import Piece
from vitlab.data.vocabularies import Vocabulary

_TOGETHER = 64  # pieces that are encoded at a time
_CHECKED = 2**30  # bytes: of a larger file only the size is
_BLOCK = 2**22


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


def opened(place: pathlib.Path, about: Mapping[str, Any]) -> tuple[str, dict[str, Encoded]] | None:
  """The vocabulary and the splits that `cache.cached` has kept; None if they are damaged.

  Args:
    place: The folder of `SPLIT.tokens` files.
    about: dict(tokenizer=text, splits=what `write` said of each).
  """
  splits = {s: Encoded(place / f'{s}.tokens', known) for s, known in about['splits'].items()}
  whole = all(split.is_whole() for split in splits.values())
  return (about['tokenizer'], splits) if whole else None


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
