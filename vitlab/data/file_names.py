"""Which picture an annotation means, and which split a file is of: by name, as the formats do."""

import re
from collections.abc import Callable, Sequence

from vitlab.data import splits
from vitlab.data.pictures import is_picture
from vitlab.errors import UserError


class Finder:
  """Finds files of a tree by the end of their path.

  Args:
    names: All paths of the tree.
    wanted: Which files count, by name; by default pictures.
    key: Of the last part of a path: equal keys are the same file, with or without an ending.
  """

  def __init__(
    self,
    names: Sequence[str],
    wanted: Callable[[str], bool] = is_picture,
    key: Callable[[str], str] = str,
  ):
    self._names, self._key = names, key
    self._by_name: dict[str, list[int]] = {}
    for number, name in enumerate(names):
      last = name.rpartition('/')[2]
      if last and wanted(last):
        self._by_name.setdefault(key(last), []).append(number)

  def __call__(self, path: str, folders: Sequence[str] = ()) -> int | None:
    """The number of the file whose path ends like this one's most; None if there is none.

    Args:
      path: As an annotation says it, perhaps of the machine where that was made.
      folders: Names of folders, the most telling first, that decide between equal ends.

    Raises:
      UserError: nothing decides between several files.
    """
    *around, last = [part for part in re.split(r'[/\\]', path) if part not in ('', '.', '..')]
    found = self._by_name.get(self._key(last), [])
    for depth in range(len(around), 0, -1):
      end = around[-depth:]
      same = [n for n in found if self._names[n].split('/')[-1 - depth : -1] == end]
      if same:
        found = same
        break
    for folder in folders:
      if len(found) > 1:
        found = [n for n in found if folder in self._names[n].split('/')[:-1]] or found
    if len(found) > 1:
      first, second = (self._names[n] for n in found[:2])
      raise UserError(f'{path!r} may be {first} or {second}: give pictures different names')
    return found[0] if found else None


def stem(name: str) -> str:
  """The last part of a path without its ending."""
  last = name.rpartition('/')[2]
  return last.rpartition('.')[0] or last


def split_of(path: str) -> str | None:
  """The split that a path names: 'train' of 'instances_train2017.json', 'val' of 'valid/a.xml'."""
  for part in reversed(path.split('/')):
    for word in re.split(r'[^A-Za-z]+', part):
      if found := splits.canonical(word):
        return found
  return None
