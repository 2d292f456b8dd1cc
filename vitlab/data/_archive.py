"""A tree of files with random access: a folder, a .zip, a .tar, or a compressed .tar in memory.

Archives are indexed once; a file is then one positioned read, safe in threads and, because a tree
pickles as its index, cheap to send to worker processes.
"""

import functools
import io
import os
import pathlib
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from vitlab.data._images import ImageError
from vitlab.errors import UserError

_ZIP_LOCAL_HEADER = 30  # bytes before the name; APPNOTE.TXT 4.3.7
_ARCHIVES = '.zip, .tar, .tar.gz, .tgz, .tar.bz2, .tar.xz'


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


class _Folder:
  def __init__(self, root: pathlib.Path):
    self._root = str(root)
    start = len(os.path.join(root, ''))
    self.names = sorted(
      os.path.join(folder, name)[start:].replace(os.sep, '/')
      for folder, folders, names in os.walk(root, followlinks=True)
      for name in names + [''] * (not names and not folders)
    )

  def __call__(self, number: int) -> bytes:
    try:
      with open(os.path.join(self._root, self.names[number]), 'rb') as file:
        return file.read()
    except OSError as error:
      raise ImageError(f'cannot be read: {error.strerror}') from None


class _Positioned:
  """Byte ranges of one file, read without a shared position: any number of threads may."""

  def __init__(self, path: pathlib.Path):
    self._path = str(path)
    self._process, self._descriptor = None, None

  def _read(self, offset: int, size: int) -> bytes:
    if self._process != os.getpid():  # also after pickling: every process opens its own
      self._descriptor, self._process = os.open(self._path, os.O_RDONLY), os.getpid()
    return os.pread(self._descriptor, size, offset)

  def __getstate__(self) -> dict:
    return {**self.__dict__, '_process': None, '_descriptor': None}

  def __del__(self):
    if self._process == os.getpid():
      os.close(self._descriptor)


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
      infos = sorted(archive.infolist(), key=lambda info: info.filename)
    for info in infos:
      if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(
          f'{path}: {info.filename} is encrypted or of a compression other than deflate\n'
          'pack it again with ordinary zip'
        )
    self.names = [info.filename for info in infos]
    self._spans = np.array(
      [(i.header_offset, i.compress_size, i.compress_type, i.CRC) for i in infos], np.int64
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
  members = sorted(
    (m.name.removeprefix('./') + '/' * m.isdir(), m.offset_data, m.size)
    for m in members
    if m.isreg() or m.isdir()
  )
  return [name for name, _, _ in members], np.array([span for _, *span in members], np.int64)


def _is_compressed(path: pathlib.Path) -> bool:
  try:
    with tarfile.open(path, 'r:'):
      return False
  except tarfile.ReadError:
    return True
