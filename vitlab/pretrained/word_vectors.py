"""Files of word vectors: those of word2vec's own program, of gensim and of GloVe.

  'word2vec'         text: `words numbers`, then a line for each word
  'word2vec_binary'  the same line, then each word, a space and its numbers in little-endian float32
  'glove'            text without the first line

word2vec's program ends a row with a space and a newline, in binary files with a newline; gensim
with a newline or, in binary files, with nothing. All are read, also compressed by gzip. What is
written is gensim's to the byte, which all others read.
"""

import gzip
import logging
import pathlib
import re
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from vitlab.errors import UserError

_log = logging.getLogger(__name__)
FORMATS = dict(word2vec='vectors.txt', word2vec_binary='vectors.bin', glove='vectors.txt')
TEXT = ('.txt', '.vec')  # what files of text are called
_HEADER = re.compile(rb'\s*(\d+)[ \t]+(\d+)[ \t\r]*\n')


class WordVectors(NamedTuple):
  """Words, in the order of the file, and a vector for each."""

  words: list[str]
  vectors: Float[np.ndarray, 'words d']


def is_one(path: pathlib.Path) -> bool:
  """Whether this is called as a text file of vectors is, or begins as a binary one does."""
  name = path.name.lower().removesuffix('.gz')
  if not path.is_file() or not name.endswith((*TEXT, '.bin')):
    return False
  return not name.endswith('.bin') or bool(_HEADER.match(_start(path)))


def read(path: pathlib.Path) -> WordVectors:
  """The vectors in a file of any of the formats; of a word that comes twice, the first.

  Raises:
    UserError: it cannot be read, is cut short, holds more than it says, or a number that is none.
  """
  try:
    with _open(path) as file:
      data = file.read()
  except (OSError, EOFError, zlib.error) as error:
    raise UserError(f'{path} cannot be read: {error}') from None
  header = _HEADER.match(data)
  if header and not int(header[1]) * int(header[2]):
    raise UserError(f'{path} says {int(header[1])} words of {int(header[2])} numbers: it is empty')
  if header and not _is_text(data[header.end() :], int(header[2])):
    rows = _binary(path, data, header)
  else:
    rows = _text(path, data, header)
  words, numbers = zip(*rows)
  return _checked(path, words, np.array(numbers, np.float32))


def write(
  path: pathlib.Path, words: Sequence[str], vectors: Float[np.ndarray, 'words d'], format: str
) -> pathlib.Path:
  """Writes a file, in place of another.

  Args:
    path: The file, or, without an ending, the folder for one called vectors.
    words: Of the rows.
    vectors: Of the words.
    format: One of `FORMATS`.

  Raises:
    UserError: a word with white space in it, or none; or the file cannot be written.
  """
  for word in words:
    if not word or re.search(r'\s', word):
      raise UserError(f'the word {word!r} cannot be written: words end where white space is')
  path = path if path.suffix else path / FORMATS[format]
  header = b'' if format == 'glove' else f'{len(words)} {vectors.shape[1]}\n'.encode()
  vectors = np.asarray(vectors, '<f4')
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'wb') as file:
      file.write(header)
      for word, row in zip(words, vectors):
        numbers = row.tobytes() if format == 'word2vec_binary' else ' '.join(map(str, row)).encode()
        file.write(word.encode() + b' ' + numbers + b'\n' * (format != 'word2vec_binary'))
  except OSError as error:
    raise UserError(f'cannot write to {str(path)!r}: {error.strerror}') from error
  return path


def _open(path: pathlib.Path):
  return gzip.open(path) if path.name.lower().endswith('.gz') else open(path, 'rb')


def _start(path: pathlib.Path) -> bytes:
  try:
    with _open(path) as file:
      return file.read(64)
  except (OSError, EOFError, zlib.error):
    return b''


def _is_text(body: bytes, width: int) -> bool:
  """Whether what follows a first line is written in letters."""
  fields = body.partition(b'\n')[0].split()
  return len(fields) > width and _numbers(fields[-width:]) is not None or body.isascii()


def _binary(path: pathlib.Path, data: bytes, header: re.Match) -> Iterator[tuple[str, np.ndarray]]:
  count, width = int(header[1]), int(header[2])
  place, size = header.end(), 4 * width
  for row in range(count):
    while data[place : place + 1] == b'\n':  # behind the row before: of some programs
      place += 1
    end = data.find(b' ', place)
    if end < 0 or len(data) < end + 1 + size:
      raise UserError(f'{path} is cut short: it says {count:,} words, and holds {row:,}')
    word = data[place:end].decode(errors='replace')  # word2vec cuts long ones anywhere
    yield word, np.frombuffer(data, '<f4', width, end + 1)
    place = end + 1 + size
  if data[place:].strip(b'\n'):
    raise UserError(
      f'{path} says {count:,} words of {width} numbers, and holds more: not of one kind'
    )


def _text(
  path: pathlib.Path, data: bytes, header: re.Match | None
) -> Iterator[tuple[str, np.ndarray]]:
  # No splitlines, no split(): a line ends with \n, a field with a space or a tab, and with nothing
  # else that Unicode has.
  lines = (data[header.end() :] if header else data).removesuffix(b'\n').split(b'\n')
  first = re.split(rb'[ \t]+', lines[0].rstrip(b' \t\r'))
  width = int(header[2]) if header else len(first) - 1
  if not header and (width < 2 or _numbers(first[1:]) is None):
    raise UserError(
      f'{path} is no file of weights: give a .safetensors or .npz file, or word vectors'
      f'\nit begins with {lines[0][:40].decode(errors="replace")!r}: of word vectors is '
      'expected "words numbers", or a word and its numbers'
    )
  if header and len(lines) != int(header[1]):
    what = 'is cut short: it' if len(lines) < int(header[1]) else 'has another header: it'
    raise UserError(f'{path} {what} says {int(header[1]):,} words, and holds {len(lines):,}')
  for number, line in enumerate(lines, 2 if header else 1):
    fields = re.split(rb'[ \t]+', line.rstrip(b' \t\r'))
    numbers = _numbers(fields[-width:]) if len(fields) > width else None
    if numbers is None:
      raise UserError(f'{path}: line {number} is no word with {width} numbers: it is damaged')
    yield b' '.join(fields[:-width]).decode(errors='replace'), numbers


def _numbers(fields: Sequence[bytes]) -> Float[np.ndarray, ' d'] | None:
  try:
    return np.array(fields).astype(np.float64).astype(np.float32)
  except ValueError:
    return None


def _checked(
  path: pathlib.Path, words: Sequence[str], vectors: Float[np.ndarray, 'words d']
) -> WordVectors:
  bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
  if len(bad):
    raise UserError(f'{path}: the vector of {words[bad[0]]!r} is not finite: the file is damaged')
  first = dict(zip(reversed(words), reversed(range(len(words)))))
  if len(first) < len(words):
    again = next(word for i, word in enumerate(words) if first[word] != i)
    count = len(words) - len(first)
    _log.warning(
      '%s: %d words come twice, the first is %r: the first of each counts', path, count, again
    )
  rows = sorted(first.values())
  return WordVectors([words[i] for i in rows], vectors[rows])
