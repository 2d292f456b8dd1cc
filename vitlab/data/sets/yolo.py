"""Objects as YOLO programs read them: a text file for each picture, and a YAML file of the set.

The YAML file has `names`, a list or number -> name, and for `train`, `val` and `test` a folder of
pictures, a text file that lists some, or several of these, relative to `path` or to itself. Without
`val` and `test`, a part of 'train' is held out as 'test'. The text file of `images/a.jpg` is
`labels/a.txt`, else `a.txt` beside it; a picture without one has no objects.

A row is `class x y width height`, its centre and size as fractions of the picture; or `class x1 y1
x2 y2 ...`, the corners of a polygon, whose box is taken. Rows that are there twice count once.
"""

import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import yaml

from vitlab.data import Dataset, box_sets
from vitlab.data.annotations import Annotation
from vitlab.data.archive import Tree, open_trees
from vitlab.data.box_sets import Found, Part
from vitlab.data.file_names import stem
from vitlab.data.opened import ImageError, measure
from vitlab.data.pictures import is_picture
from vitlab.errors import UserError, listed

_SPLITS = ('train', 'val', 'test')
_BEYOND = 1.01  # ultralytics' bound of what is still a fraction


def make(
  path: str,
  image_size: int | Sequence[int] = (480, 640),
  channels: int = 3,
  test_fraction: float = 0.1,
  split_seed: int = 0,
  in_memory: bool = False,
) -> Dataset:
  """The splits that the YAML file names.

  Args:
    path: A folder, or an archive, of all files; archives in the folder are looked into.
    image_size: (short, long), the sides of the shape that wide and tall pictures are padded to; or
      one number, the side of a square one for all.
    channels: 3 (RGB) or 1 (grey).
    test_fraction: Held out as 'test' where there is no other split.
    split_seed: Which ones are held out.
    in_memory: Decode a picture once and keep it.

  Raises:
    UserError: no YAML file with names, a split without pictures, rows that are none, an unknown
      class; as `box_sets.dataset`.
  """
  tree = open_trees(path)
  reader = _Reader(path, tree)
  parts = {split: reader.part(split) for split in reader.splits}
  found = Found(list(reader.classes.values()), list(reader.classes), parts, reader.odd)
  how = dict(image_size=image_size, channels=channels, test_fraction=test_fraction)
  return box_sets.dataset(path, found, **how, split_seed=split_seed, in_memory=in_memory)


class _Reader:
  """The splits of one YAML file.

  Attributes:
    classes: Number in the files -> name.
    splits: Those that the file names.
    odd: What was left out.
  """

  def __init__(self, path: str, tree: Tree):
    self._path, self._tree = path, tree
    self._numbers = {name: number for number, name in enumerate(tree.names)}
    self._where, self._said = _settings(path, tree)
    self.classes = _classes(self._where, self._said)
    self.splits = [split for split in _SPLITS if self._said.get(split)]
    if 'train' not in self.splits:
      raise UserError(f'{self._where} names no train: say where its pictures are, train: images')
    self.odd: Counter[str] = Counter()

  def part(self, split: str) -> Part:
    """The pictures of a split, in the order of their names or of the file that lists them."""
    said = self._said[split]
    files, annotations = [], []
    for entry in said if isinstance(said, list) else [said]:
      for number in self._pictures(split, str(entry)):
        try:
          annotation = self._annotation(number)
        except ImageError:
          self.odd['pictures that cannot be read, left out'] += 1
          continue
        files.append(number)
        annotations.append(annotation)
    return Part(self._tree, files, annotations)

  def _pictures(self, split: str, entry: str) -> list[int]:
    """The numbers of the pictures in a folder or on a list."""
    for place in self._places(entry):
      if place in self._numbers and place.endswith('.txt'):
        return self._listed(place)
      inside = f'{place}/' if place else ''
      found = [n for name, n in self._numbers.items() if name.startswith(inside)]
      if found := [n for n in found if is_picture(self._tree.names[n])]:
        return found
    raise UserError(
      f'{self._where}: {split}: {entry} holds no pictures\n'
      f'say where they are, relative to the YAML file; there are {listed(self._folders()) or None}'
    )

  def _places(self, entry: str) -> Iterator[str]:
    """Where a folder or a list may be in the tree, the most likely place first."""
    home = posixpath.dirname(self._where.removeprefix(f'{self._path}/'))
    root = str(self._said.get('path') or '')
    # Roboflow writes ../train/images for train/images; paths may be of another machine.
    inside = entry.replace('\\', '/').lstrip('./')
    for place in (posixpath.join(home, root, entry), posixpath.join(home, entry)):
      yield posixpath.normpath(place).removeprefix('.').lstrip('/')
    parts = inside.split('/')
    for start in range(max(1, len(parts) - 1)):  # images/ alone may be of any split
      yield posixpath.normpath(posixpath.join(home, *parts[start:]))

  def _listed(self, place: str) -> list[int]:
    rows = [row.strip() for row in self._text(self._numbers[place]).splitlines() if row.strip()]
    return [self._one(place, row) for row in rows]

  def _one(self, place: str, row: str) -> int:
    for candidate in (posixpath.normpath(posixpath.join(posixpath.dirname(place), row)), row):
      if candidate in self._numbers:
        return self._numbers[candidate]
    for candidate in self._places(row):
      if candidate in self._numbers:
        return self._numbers[candidate]
    raise UserError(f'{self._path}/{place} lists {row}, which is not there')

  def _folders(self) -> list[str]:
    pictures = [name for name in self._tree.names if is_picture(name)]
    return sorted({posixpath.dirname(name) or '.' for name in pictures})

  def _annotation(self, number: int) -> Annotation:
    name = self._tree.names[number]
    height, width = measure(self._tree(number))
    label = self._label(name)
    rows = [] if label is None else self._rows(label)
    boxes = np.array([box for _, box in rows], np.float64).reshape(-1, 4)
    boxes *= [width, height] * 2
    none = np.zeros(len(rows), bool)
    return Annotation(
      *(name, stem(name), height, width, boxes),
      classes=np.array([label for label, _ in rows], np.int64),
      area=np.prod(boxes[:, 2:] - boxes[:, :2], axis=1),
      crowd=none,
      difficult=none,
    )

  def _label(self, name: str) -> int | None:
    """The text file of a picture."""
    before, images, after = f'/{name}'.rpartition('/images/')
    path = posixpath.splitext(name)[0] + '.txt'
    elsewhere = posixpath.splitext(f'{before}/labels/{after}'[1:])[0] + '.txt' if images else path
    return self._numbers.get(elsewhere, self._numbers.get(path))

  def _rows(self, number: int) -> list[tuple[int, tuple[float, ...]]]:
    """Class numbers of the model, and boxes x1, y1, x2, y2 in fractions."""
    where = f'{self._path}/{self._tree.names[number]}'
    numbering = {given: label for label, given in enumerate(self.classes)}
    lines = [line.split() for line in self._text(number).splitlines() if line.strip()]
    found = []
    for line in lines:
      given, *values = _numbers(where, line)
      if given not in numbering:
        raise UserError(
          f'{where}: the unknown class {given:g} in {" ".join(line):.60}\n'
          f'{self._where} has the classes {listed(list(self.classes))}'
        )
      found.append((numbering[given], _box(values)))
    once = list(dict.fromkeys(found))
    if len(once) < len(found):
      self.odd['rows that are there twice, counted once'] += len(found) - len(once)
    return once

  def _text(self, number: int) -> str:
    return self._tree(number).decode(errors='replace')


def _settings(path: str, tree: Tree) -> tuple[str, Mapping[str, Any]]:
  """The YAML file's path and what it says."""
  names = [n for n, name in enumerate(tree.names) if name.lower().endswith(('.yaml', '.yml'))]
  read = {f'{path}/{tree.names[n]}': _parsed(f'{path}/{tree.names[n]}', tree(n)) for n in names}
  found = {where: said for where, said in read.items() if 'names' in said}
  if len(found) == 1:
    return next(iter(found.items()))
  if found:
    raise UserError(f'{path} holds several YAML files with names: {listed(list(found))}: keep one')
  raise UserError(
    f'{path}: '
    + (f'{next(iter(read))} has no names' if read else 'no YAML file of the set')
    + '\nexpected data.yaml with for example\n'
    "train: train/images, val: valid/images, names: ['cat', 'dog']"
  )


def _parsed(where: str, text: bytes) -> Mapping[str, Any]:
  try:
    said = yaml.safe_load(text)
  except yaml.YAMLError as error:
    raise UserError(f'{where} is not YAML: {" ".join(str(error).split())}') from None
  return said if isinstance(said, dict) else {}


def _classes(where: str, said: Mapping[str, Any]) -> dict[int, str]:
  names = said['names']
  if isinstance(names, list):
    names = dict(enumerate(names))
  if not isinstance(names, dict) or not names or not all(type(n) is int for n in names):
    raise UserError(
      f"{where}: names: {names}: expected a list, ['cat', 'dog'], or {{0: cat, 1: dog}}"
    )
  if said.get('nc', len(names)) != len(names):
    raise UserError(f'{where}: nc is {said["nc"]}, but there are {len(names)} names: correct one')
  return {number: str(names[number]) for number in sorted(names)}


def _numbers(where: str, line: Sequence[str]) -> list[float]:
  try:
    values = [float(value) for value in line]
  except ValueError:
    values = []
  if not (len(values) == 5 or len(values) >= 7 and len(values) % 2):
    raise UserError(
      f'{where}: {" ".join(line):.80}\nexpected a class and four numbers, x y width height of the '
      'box, or a class and the corners of a polygon'
    )
  if max(np.abs(values[1:])) > _BEYOND:
    raise UserError(
      f'{where}: {" ".join(line):.80}\nexpected fractions of the picture, 0 to 1: divide x and '
      'width by its width, y and height by its height'
    )
  return values


def _box(values: Sequence[float]) -> tuple[float, ...]:
  if len(values) == 4:
    x, y, width, height = values
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2
  x, y = values[0::2], values[1::2]
  return min(x), min(y), max(x), max(y)
