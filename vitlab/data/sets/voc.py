"""Objects as Pascal VOC publishes them: an XML file for each picture.

`ImageSets/Main/train.txt`, `val.txt`, ... name the pictures of the splits; without them the splits
are folders (`train/`, `valid/`, ...), and without these everything is 'train', of which a part is
held out as 'test'. A picture has the name of its XML file. Classes are numbered in alphabetical
order, as VOC's own are.

VOC counts pixels from 1 and its boxes hold both of their corners: pixels xmin to xmax are
[xmin - 1, xmax] here, as in detectron2. Difficult objects are learned from, and not asked for in
evaluation.
"""

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vitlab.data import Dataset, box_sets
from vitlab.data.annotations import Annotation
from vitlab.data.archive import Tree, open_trees
from vitlab.data.box_sets import Found, Part
from vitlab.data.file_names import Finder, split_of, stem
from vitlab.data.splits import canonical
from vitlab.errors import UserError

_CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')


def make(
  path: str,
  image_size: int | Sequence[int] = (480, 640),
  channels: int = 3,
  test_fraction: float = 0.1,
  split_seed: int = 0,
  in_memory: bool = False,
) -> Dataset:
  """The splits that there are lists or folders for.

  Args:
    path: A folder, or an archive, of all files; archives in the folder are looked into.
    image_size: (short, long), the sides of the shape that wide and tall pictures are padded to; or
      one number, the side of a square one for all.
    channels: 3 (RGB) or 1 (grey).
    test_fraction: Held out as 'test' where there is no other split.
    split_seed: Which ones are held out.
    in_memory: Decode a picture once and keep it.

  Raises:
    UserError: no XML files, not VOC's format, pictures missing; as `box_sets.dataset`.
  """
  tree = open_trees(path)
  odd: Counter[str] = Counter()
  splits = _splits(path, tree, odd)
  find = Finder(tree.names, key=stem)
  read = {split: [_read(path, tree, find, n) for n in numbers] for split, numbers in splits.items()}
  names = sorted({o.name for files in read.values() for file in files for o in file.objects})
  numbering = {name: label for label, name in enumerate(names)}
  parts = {
    split: Part(tree, [f.picture for f in files], [_annotation(tree, f, numbering) for f in files])
    for split, files in read.items()
  }
  found = Found(names, list(range(len(names))), parts, odd)
  how = dict(image_size=image_size, channels=channels, test_fraction=test_fraction)
  return box_sets.dataset(path, found, **how, split_seed=split_seed, in_memory=in_memory)


class _Object(NamedTuple):
  name: str
  box: tuple[float, ...]
  difficult: bool


class _File(NamedTuple):
  """One XML file: its picture's number and size, its objects."""

  picture: int
  size: tuple[int, int]
  objects: Sequence[_Object]


def _splits(path: str, tree: Tree, odd: Counter[str]) -> dict[str, list[int]]:
  """Split -> numbers of its XML files."""
  numbers = [n for n, name in enumerate(tree.names) if name.lower().endswith('.xml')]
  if not numbers:
    raise UserError(
      f'{path} holds no XML files\nexpected Annotations/NAME.xml, JPEGImages/NAME.jpg and '
      'ImageSets/Main/train.txt, or folders train/ and test/ of NAME.xml beside NAME.jpg'
    )
  lists = [n for n, name in enumerate(tree.names) if _is_list(name)]
  if lists:
    return _listed(path, tree, lists, odd)
  found: dict[str, list[int]] = {}
  for number in numbers:
    found.setdefault(split_of('/'.join(tree.names[number].split('/')[:-1])) or 'train', []).append(
      number
    )
  return found


def _is_list(name: str) -> bool:
  return name.endswith('.txt') and f'/{name}'.rpartition('/')[0].endswith('ImageSets/Main')


def _listed(path: str, tree: Tree, lists: Sequence[int], odd: Counter[str]) -> dict:
  find = Finder(tree.names, lambda name: name.lower().endswith('.xml'), stem)
  found: dict[str, list[int]] = {}
  for number in lists:
    rows = [
      row for line in tree(number).decode(errors='replace').splitlines() if (row := line.split())
    ]
    if any(len(row) > 1 for row in rows):  # of one class, with 1 and -1 behind the names
      continue
    split = canonical(stem(tree.names[number])) or stem(tree.names[number])
    if split in found:
      raise UserError(f'{path}: several lists of the split {split!r}: give one of them its folder')
    files = [find(f'{name}.xml') for (name,) in rows]
    missing = [name for (name,), file in zip(rows, files) if file is None]
    if missing and len(missing) == len(rows):  # VOC 2012 publishes no annotations of its test set
      odd[f'pictures of {split!r} without annotations, left out'] += len(rows)
      continue
    if missing:
      raise UserError(
        f'{path}: of {len(rows):,} pictures of {tree.names[number]}, {len(missing):,} have no XML '
        f'file, as {missing[0]}\nadd Annotations/{missing[0]}.xml, or take it out of the list'
      )
    found[split] = files
  if not found:
    raise UserError(
      f'{path}: none of its lists names a picture with an XML file, as {tree.names[lists[0]]}\n'
      'list the names of XML files there, one a line, or remove ImageSets/Main'
    )
  return found


def _read(path: str, tree: Tree, find: Finder, number: int) -> _File:
  where = f'{path}/{tree.names[number]}'
  try:
    root = ET.fromstring(tree(number))
  except ET.ParseError as error:
    raise UserError(f'{where} is not XML: {error}') from None
  *folders, name = tree.names[number].split('/')
  picture = find(name, ['JPEGImages', *reversed(folders)])
  if picture is None:
    raise UserError(
      f'{where}: its picture {stem(name)}.jpg is not there\n'
      'put it into JPEGImages/ or beside the XML file, or remove the XML file'
    )
  said = tuple(root.findtext(f'size/{side}') for side in ('height', 'width'))
  size = box_sets.size_of(where, said, tree.names[picture], lambda: tree(picture))
  return _File(picture, size, [_object(where, element) for element in root.findall('object')])


def _object(where: str, element: ET.Element) -> _Object:
  name = (element.findtext('name') or '').strip()
  try:
    corners = [float(element.findtext(f'bndbox/{key}', '').strip()) for key in _CORNERS]
  except ValueError:
    name = ''
  if not name:
    raise UserError(
      f'{where}: an object without a name or without the four numbers of its bndbox\n'
      f'expected <name> and <bndbox> with {", ".join(_CORNERS)}'
    )
  x1, y1, x2, y2 = corners
  one = x2 > x1 and y2 > y1  # else it has no area, and is not to get one
  difficult = (element.findtext('difficult') or '0').strip() == '1'
  return _Object(name, (x1 - one, y1 - one, x2, y2), difficult)


def _annotation(tree: Tree, file: _File, numbering: Mapping[str, int]) -> Annotation:
  boxes = np.array([o.box for o in file.objects], np.float64).reshape(-1, 4)
  return Annotation(
    tree.names[file.picture],
    stem(tree.names[file.picture]),
    *file.size,
    boxes,
    classes=np.array([numbering[o.name] for o in file.objects], np.int64),
    area=np.prod(boxes[:, 2:] - boxes[:, :2], axis=1),
    crowd=np.zeros(len(boxes), bool),
    difficult=np.array([o.difficult for o in file.objects], bool),
  )
