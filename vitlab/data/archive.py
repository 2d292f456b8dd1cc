"""A tree of files with random access: a folder, a .zip, a .tar, or a compressed .tar in memory.

Archives are indexed once; a file is then one positioned read, safe in threads and, because a tree
pickles as its index, cheap to send to worker processes.

What operating systems and notebooks leave behind (`is_clutter`) belongs to no tree.
"""

import functools
import io
import os
import pathlib
import posixpath
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vitlab.data.pictures import ImageError
from vitlab.errors import UserError

_ZIP_LOCAL_HEADER = 30  # bytes before the name; APPNOTE.TXT 4.3.7
_PACKED = ('.zip', '.tar', '.tar.gz', '.tgz', '.tar.bz2', '.tar.xz')
_ARCHIVES = ', '.join(_PACKED)
_CLUTTER = {  # lower case: of macOS, Windows, Synology, ext4
  *('__macosx', 'thumbs.db', 'ehthumbs.db', 'desktop.ini', '$recycle.bin'),
  *('system volume information', '@eadir', 'lost+found'),
}


@runtime_checkable
class Tree(Protocol):
  """Files by number; `names` are sorted paths with '/', those of (empty) folders end with one."""

  names: Sequence[str]

  def __call__(self, number: int) -> bytes:
    """The content of a file; ImageError where the file itself is damaged."""
    ...


def open_tree(path: str | os.PathLike) -> Tree:
  """Indexes a folder or an archive.

  Raises:
    UserError: there is nothing, it is no archive, or its table of contents is damaged.
  """
  path = pathlib.Path(path).expanduser()
  if path.is_dir():
    return _Folder(path)
  if not path.is_file():
    raise UserError(f'{path} does not exist: expected a folder or one of {_ARCHIVES}')
  try:
    if zipfile.is_zipfile(path):
      return _Zip(path)
    if tarfile.is_tarfile(path):
      return _CompressedTar(path) if _is_compressed(path) else _Tar(path)
  except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, OSError) as error:
    raise UserError(f'{path} is damaged: {error}\nfetch or pack it again') from None
  raise UserError(f'{path} is no archive: expected a folder or one of {_ARCHIVES}')


def open_trees(path: str | os.PathLike) -> Tree:
  """As `open_tree`; of a folder also what is in the archives that lie in it, as they are published.

  Raises:
    UserError: as `open_tree`, also of one of them.
  """
  tree = open_tree(path)
  top = [name for name in tree.names if name.endswith(_PACKED) and '/' not in name]
  if not isinstance(tree, _Folder) or not top:
    return tree
  return _Several([tree, *(open_tree(pathlib.Path(path).expanduser() / name) for name in top)])


def list_folder(root: str | os.PathLike) -> Sequence[str]:
  """The files in and below a folder, sorted; also its empty folders, with '/' at the end."""
  return _Folder(pathlib.Path(root)).names


def counted(left_out: Counter[str]) -> str:
  """In words how many files of each kind are left out, the most frequent kinds by name."""
  kinds = left_out.most_common(6)
  others = left_out.total() - sum(count for _, count in kinds)
  words = [f'{count:,} {kind}' for kind, count in kinds] + [f'{others:,} others'] * bool(others)
  total = left_out.total()
  return f'{total:,} file{"s" * (total != 1)} left out: {", ".join(words)}'


def is_clutter(name: str) -> bool:
  """Whether a file or folder of this name holds no data: hidden, or made by the system."""
  return name.startswith('.') or name.lower() in _CLUTTER


def _arrange(members: Iterable[tuple[str, Any]]) -> tuple[list[str], list[Any]]:
  """Sorted names and members: the files that are no clutter, and the folders without any.

  Args:
    members: (path with '/', member) pairs; the paths of folders end with '/'.
  """
  found: dict[str, Any] = {}
  homes: dict[str, str | None] = {}  # folder as written -> in names; None: clutter
  for path, member in members:
    folder, _, name = path.rpartition('/')
    if folder not in homes:
      parts = [part for part in folder.split('/') if part not in ('', '.')]
      homes[folder] = None if any(map(is_clutter, parts)) else ''.join(f'{p}/' for p in parts)
    home = homes[folder]
    if name and home is not None and not is_clutter(name):
      found[home + name] = member
  folders = {home for home in homes.values() if home}
  filled = {path[: path.rstrip('/').rfind('/') + 1] for path in [*found, *folders]}
  found |= dict.fromkeys(folders - filled)
  names = sorted(found)
  return names, [found[name] for name in names]


class _Folder:
  def __init__(self, root: pathlib.Path):
    self._root = str(root)
    self.names, _ = _arrange((name, None) for name in _walk(root))

  def __call__(self, number: int) -> bytes:
    try:
      with open(os.path.join(self._root, self.names[number]), 'rb') as file:
        return file.read()
    except OSError as error:
      raise ImageError(f'cannot be read: {error.strerror}') from None


def _walk(root: pathlib.Path) -> Iterator[str]:
  """Paths below a folder; of links those that do not lead back to where they are found."""

  def refuse(error: OSError) -> None:
    raise UserError(f'{error.filename} cannot be read: {error.strerror}')

  start = len(os.path.join(root, ''))
  real = os.path.realpath(root)
  around = {str(root): {real, *map(str, pathlib.Path(real).parents)}}  # real folders, of each
  for folder, folders, names in os.walk(root, followlinks=True, onerror=refuse):
    inside = {path: os.path.realpath(path) for path in (os.path.join(folder, f) for f in folders)}
    loops = [path for path, real in inside.items() if real in around[folder]]
    folders[:] = [f for f in folders if os.path.join(folder, f) not in loops and not is_clutter(f)]
    around |= {path: around[folder] | {real} for path, real in inside.items()}
    del around[folder]
    for name in [*names, '']:
      yield os.path.join(folder, name)[start:].replace(os.sep, '/')


class _Several:
  """The files of several trees, one tree after the other."""

  def __init__(self, trees: Sequence[Tree]):
    self._trees = list(trees)
    self.names = [name for tree in trees for name in tree.names]
    self._ends = np.cumsum([len(tree.names) for tree in trees])

  def __call__(self, number: int) -> bytes:
    which = int(np.searchsorted(self._ends, number, side='right'))
    tree = self._trees[which]
    return tree(int(number - self._ends[which] + len(tree.names)))


class _Positioned:
  """Byte ranges of one file, read without a shared position: any number of threads may."""

  def __init__(self, path: pathlib.Path):
    self._path = str(path)
    self._process, self._file = None, None

  def _read(self, offset: int, size: int) -> bytes:
    if self._process != os.getpid():  # also after pickling: every process opens its own
      self._file, self._process = open(self._path, 'rb', buffering=0), os.getpid()  # noqa: SIM115
    file = self._file  # held: another thread may be opening one of its own
    return os.pread(file.fileno(), size, offset)

  def __getstate__(self) -> dict:
    return {**self.__dict__, '_process': None, '_file': None}


class _Tar(_Positioned):
  def __init__(self, path: pathlib.Path):
    super().__init__(path)
    with tarfile.open(path, 'r:') as archive:
      self.names, self._spans = _index(archive)

  def __call__(self, number: int) -> bytes:
    offset, size = self._spans[number].tolist()
    return self._read(offset, size)


class _CompressedTar:
  """A compressed stream has no random access, so all of it is kept in memory, uncompressed."""

  def __init__(self, path: pathlib.Path):
    self._path = path
    with tarfile.open(fileobj=io.BytesIO(self._content)) as archive:
      self.names, self._spans = _index(archive)

  @functools.cached_property
  def _content(self) -> bytes:
    with tarfile.open(self._path) as archive:
      archive.fileobj.seek(0)  # the uncompressed stream
      return archive.fileobj.read()

  def __call__(self, number: int) -> bytes:
    offset, size = self._spans[number].tolist()
    return self._content[offset : offset + size]

  def __getstate__(self) -> dict:
    return {key: value for key, value in self.__dict__.items() if key != '_content'}


class _Zip(_Positioned):
  def __init__(self, path: pathlib.Path):
    super().__init__(path)
    with zipfile.ZipFile(path) as archive:
      # The standard wants '/'; some programs of Windows write its own separator.
      members = [(info.filename.replace('\\', '/'), info) for info in archive.infolist()]
    self.names, infos = _arrange(members)
    for info in filter(None, infos):
      if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(
          f'{path}: {info.filename} is encrypted or of a compression other than deflate\n'
          'pack it again with ordinary zip'
        )
    self._spans = np.array(
      [
        (i.header_offset, i.compress_size, i.compress_type, i.CRC) if i else (0,) * 4 for i in infos
      ],
      np.int64,
    )

  def __call__(self, number: int) -> bytes:
    offset, size, compression, checksum = self._spans[number].tolist()
    header = self._read(offset, _ZIP_LOCAL_HEADER)
    name_and_extra = int.from_bytes(header[26:28], 'little') + int.from_bytes(header[28:], 'little')
    content = self._read(offset + _ZIP_LOCAL_HEADER + name_and_extra, size)
    try:
      if compression == zipfile.ZIP_DEFLATED:
        content = zlib.decompress(content, wbits=-zlib.MAX_WBITS)
    except zlib.error as error:
      raise ImageError(f'damaged in the archive: {error}') from None
    if zlib.crc32(content) != checksum:
      raise ImageError('damaged in the archive: its checksum does not match')
    return content


def _index(archive: tarfile.TarFile) -> tuple[list[str], np.ndarray]:
  """Names, and (offset, size) of the contents."""
  members = list(archive)
  archive.fileobj.seek(archive.offset)
  if len(archive.fileobj.read(tarfile.BLOCKSIZE)) < tarfile.BLOCKSIZE:
    raise tarfile.ReadError('cut short, the end mark is missing')
  files = {posixpath.normpath(m.name): m for m in members if m.isreg()}

  def content(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """The file itself, or the one that a link names; None for a folder or another kind."""
    folder = posixpath.dirname(member.name) if member.issym() else ''
    link = posixpath.normpath(posixpath.join(folder, member.linkname))
    return member if member.isreg() else files.get(link) if member.linkname else None

  found = [(m.name + '/' * m.isdir(), content(m)) for m in members]
  names, contents = _arrange((name, m) for name, m in found if m or name.endswith('/'))
  spans = [(m.offset_data, m.size) if m else (0, 0) for m in contents]
  return names, np.array(spans, np.int64)


def _is_compressed(path: pathlib.Path) -> bool:
  try:
    with tarfile.open(path, 'r:'):
      return False
  except tarfile.ReadError:
    return True
