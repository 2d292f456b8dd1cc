"""Where text comes from: a file, a folder, an archive, or a prepared set of TensorFlow Datasets.

Text is UTF-8 and kept as it is; only a byte order mark at the start of a file is dropped. It is
read in blocks, so that a long one needs no memory (a file in an archive is one block).
"""

import codecs
import contextlib
import functools
import gzip
import hashlib
import io
import logging
import pathlib
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

from vitlab.data import prepared
from vitlab.data.archive import counted, list_folder, open_tree
from vitlab.data.pictures import ImageError, ending
from vitlab.data.splits import canonical
from vitlab.errors import UserError, unknown

_log = logging.getLogger(__name__)
TFDS = 'tfds:'
# Shakespeare's 154 sonnets of 1609, in the public domain: the text that ships, by its path.
SONNETS, _SONNETS = 'sonnets:', pathlib.Path(__file__).with_name('sonnets.txt')
ENDINGS = ('.txt', '.text', '.raw', '.tokens', '.md')
_BLOCK = 2**22  # bytes that are read at a time
_RECORDS = 10_000  # of TFDS that are read at a time


class Text(NamedTuple):
  """One text.

  Attributes:
    name: Of its file, for messages.
    blocks: Gives it from the start, in parts that mean nothing.
  """

  name: str
  blocks: Callable[[], Iterator[str]]


class Texts(NamedTuple):
  """All texts of a path.

  Attributes:
    name: Of the path, for messages.
    size: Bytes of what lies there.
    digest: Of it as it lies there: nothing is unpacked or decoded.
    splits: Gives the texts by split, 'train', 'val', 'test' or as TFDS calls them; all under '' if
      no file or folder is named after a split.
  """

  name: str
  size: int
  digest: str
  splits: Callable[[], Mapping[str, Sequence[Text]]]


def open_texts(path: str, data_dir: str = '', text_key: str = 'text') -> Texts:
  """The texts of a path.

  Args:
    path: A text file, perhaps .gz; a folder, .zip or .tar of them; 'tfds:NAME' of a set that was
      prepared, see `vitlab.data.sets.tfds`; or 'sonnets:', the text that ships.
    data_dir: Where that was prepared.
    text_key: Its feature that holds the text.

  Raises:
    UserError: there is nothing, or no text in it; when it is read: text that is damaged or not
      UTF-8.
  """
  if not path:
    raise UserError(
      'data.path is empty: give a text file, a folder or archive of them, or tfds:NAME'
    )
  if path.startswith(TFDS):
    return _prepared(path.removeprefix(TFDS), data_dir, text_key)
  place = _SONNETS if path == SONNETS else pathlib.Path(path).expanduser()
  if place.is_dir():
    names = [name for name in list_folder(place) if _is_text(name)]
    size = sum((place / name).stat().st_size for name in names)
    return Texts(path, size, digest_of(place, names), lambda: _in_tree(path))
  if not place.is_file():
    raise UserError(
      f'{path} does not exist: give a text file, a folder or archive of them, or tfds:NAME'
    )
  size, digest = place.stat().st_size, digest_of(place.parent, [place.name])
  if _is_archive(place):
    return Texts(path, size, digest, lambda: _in_tree(path))
  text = Text(path, lambda: _decoded(path, functools.partial(place.open, 'rb')))
  return Texts(path, size, digest, lambda: {'': [text]})


def decode(name: str, content: bytes) -> str:
  """The text of a file that is held in memory; errors as in `open_texts`."""
  if not name.lower().endswith('.gz'):
    with contextlib.suppress(UnicodeDecodeError):  # in which line, the other way says
      return content.decode('utf-8-sig')
  return ''.join(_decoded(name, lambda: io.BytesIO(content)))


def _is_archive(place: pathlib.Path) -> bool:
  try:
    return zipfile.is_zipfile(place) or tarfile.is_tarfile(place)
  except (EOFError, OSError, zlib.error):  # a damaged .gz, which says so when it is read
    return False


def _is_text(name: str) -> bool:
  return ending(name.lower().removesuffix('.gz')) in ENDINGS


def digest_of(root: pathlib.Path, names: Sequence[str]) -> str:
  """Of the names and the content of files below a folder."""
  found = hashlib.sha256()
  for name in names:
    found.update(f'{name} {(root / name).stat().st_size} '.encode())
    with open(root / name, 'rb') as file:
      while block := file.read(_BLOCK):
        found.update(block)
  return found.hexdigest()


def digest_at(path: str, expected: str) -> str:
  """Of a file, or of all files of a folder, as they lie there; UserError says what is expected."""
  place = pathlib.Path(path).expanduser()
  if place.is_file():
    return digest_of(place.parent, [place.name])
  if not place.is_dir():
    raise UserError(f'{path} does not exist: give {expected}')
  return digest_of(place, [name for name in list_folder(place) if not name.endswith('/')])


def digest_of_prepared(builder: Any) -> str:
  """Of the version of a set of TFDS, and of what its preparation noted."""
  splits = builder.info.splits.items()
  sizes = [(split, info.num_bytes, list(info.shard_lengths)) for split, info in splits]
  return hashlib.sha256(repr((builder.info.full_name, sizes)).encode()).hexdigest()


def _in_tree(path: str) -> dict[str, list[Text]]:
  """The texts of a folder or archive, by split."""
  tree = open_tree(path)
  found: dict[str, list[Text]] = {}
  left_out: Counter[str] = Counter()
  for number, name in enumerate(tree.names):
    if not name.endswith('/') and not _is_text(name):
      left_out[ending(name)] += 1
    elif not name.endswith('/'):
      text = Text(f'{path}/{name}', _reader(f'{path}/{name}', tree, number))
      found.setdefault(_split_of(name), []).append(text)
  if not found:
    raise UserError(
      f'{path} holds no text: its files must end in {", ".join(ENDINGS)} (or these and .gz)'
      + (f'\n{counted(left_out)}' if left_out else '')
    )
  if len(found) > 1 and '' in found:
    left_out['beside the splits'] = len(found.pop(''))
  if left_out:
    _log.warning('%s: %s', path, counted(left_out))
  return found


def _reader(name: str, tree: Any, number: int) -> Callable[[], Iterator[str]]:
  return lambda: _decoded(name, lambda: io.BytesIO(tree(number)))


def _split_of(name: str) -> str:
  """Of 'train/a.txt', 'valid.txt' or 'wiki.test.raw'; '' if no part of the name is one."""
  *folders, last = name.split('/')
  found = (canonical(part) for part in [*folders, *last.split('.')[:-1]])
  return next(filter(None, found), '')


def _decoded(name: str, opened: Callable[[], BinaryIO]) -> Iterator[str]:
  decoder = codecs.getincrementaldecoder('utf-8-sig')()
  lines = 1
  try:
    with opened() as raw, gzip.open(raw) if name.lower().endswith('.gz') else raw as file:
      while True:
        block = file.read(_BLOCK)
        waiting = decoder.getstate()[0]
        text = decoder.decode(block, final=not block)
        if text:
          yield text
        if not block:
          return
        lines += text.count('\n')
  except UnicodeDecodeError as error:
    content = waiting + block
    line = lines + content.count(b'\n', 0, error.start)
    raise UserError(
      f'{name}: line {line} is not UTF-8 (byte 0x{error.object[error.start]:02x})\n'
      'convert it, for example: iconv -f LATIN1 -t UTF-8'
    ) from None
  except (ImageError, OSError, EOFError, zlib.error) as error:
    raise UserError(f'{name} is damaged: {error}\nfetch or pack it again') from None


def _prepared(dataset: str, data_dir: str, text_key: str) -> Texts:
  builder = prepared.open_prepared(dataset, data_dir, download=False)
  name = builder.info.full_name
  if text_key not in builder.info.features:
    raise unknown(f'feature of {name} (data.text_key)', text_key, builder.info.features)

  def splits() -> dict[str, Sequence[Text]]:
    return {
      canonical(split) or split: _Records(
        builder.as_data_source(split), f'{name} {split}', text_key
      )
      for split in builder.info.splits
    }

  size = sum(info.num_bytes for info in builder.info.splits.values())
  return Texts(name, size, f'{digest_of_prepared(builder)} {text_key}', splits)


class _Records(Sequence[Text]):
  """The records of a split, each a text: read many at a time, in order."""

  def __init__(self, records: Any, name: str, key: str):
    self._records, self._name, self._key = records, name, key
    self._first, self._read = 0, []

  def __len__(self) -> int:
    return len(self._records)

  def __getitem__(self, index: int) -> Text:
    if not self._first <= index < self._first + len(self._read):
      numbers = range(index, min(index + _RECORDS, len(self)))
      if not numbers:
        raise IndexError(index)
      read = self._records.__getitems__(list(numbers))
      self._first, self._read = index, [record[self._key] for record in read]
    content, name = self._read[index - self._first], f'{self._name} record {index}'
    return Text(name, lambda: _decoded(name, lambda: io.BytesIO(content)))
