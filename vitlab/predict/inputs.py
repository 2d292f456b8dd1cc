"""What --mode=predict is given: files and folders of pictures, lines of text."""

import logging
import pathlib
import sys
from collections import Counter
from collections.abc import Sequence

from vitlab.data import archive, pictures
from vitlab.data.texts import reading
from vitlab.errors import UserError

_log = logging.getLogger(__name__)


def find_images(paths: Sequence[str]) -> list[str]:
  """The given files, and the image files in and below the given folders, in order.

  Raises:
    UserError: no path given, one does not exist, or nothing in them is an image.
  """
  if not paths:
    raise UserError('--mode=predict needs images: put files or folders behind the flags')
  found: list[str] = []
  left_out: Counter[str] = Counter()
  for path in map(pathlib.Path, paths):
    if not path.exists():
      raise UserError(f'no file or folder {str(path)!r} to predict')
    if not path.is_dir():
      found.append(str(path))
      continue
    files = [name for name in archive.list_folder(path) if not name.endswith('/')]
    found += [str(path / name) for name in files if pictures.is_picture(name)]
    left_out.update(pictures.ending(name) for name in files if not pictures.is_picture(name))
  if not found:
    there = archive.counted(left_out) if left_out else 'they are empty'
    raise UserError(f'no images in {", ".join(paths)}: {there}')
  if left_out:
    _log.warning('%s', archive.counted(left_out))
  return found


def read_lines(paths: Sequence[str]) -> list[str]:
  """The lines of text files, one after the other; of standard input if there are none, or '-'.

  Raises:
    UserError: a file that does not exist, is not UTF-8 or a damaged .gz; no line at all.
  """
  lines: list[str] = []
  for path in paths or ['-']:
    lines += _lines(path)
  if not lines:
    raise UserError('no text: put text files behind the flags, or lines into standard input')
  return lines


def _lines(path: str) -> list[str]:
  try:
    content = sys.stdin.buffer.read() if path == '-' else pathlib.Path(path).read_bytes()
  except OSError as error:
    raise UserError(f'{path}: {error.strerror}: give a text file') from error
  text = reading.decode('standard input' if path == '-' else path, content)
  return [line.removesuffix('\r') for line in text.removesuffix('\n').split('\n')] if text else []
