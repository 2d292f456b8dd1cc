"""Objects as COCO publishes them: a JSON file for each split, and pictures in folders or archives.

`instances_train2017.json` is the split 'train', `valid/_annotations.coco.json` is 'val', and so is
any JSON whose name, or whose folder's, says it. A single one is 'train', of which a part is held
out as 'test'. Files and archives may lie in any way in one folder or archive: pictures are found by
name.

A box is [x, y, width, height] from the upper left corner. Categories are numbered by ascending id,
as detectron2 does; ids may start anywhere and have gaps.
"""

import functools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vitlab.data import Dataset, box_sets
from vitlab.data.annotations import Annotation
from vitlab.data.archive import Tree, open_trees
from vitlab.data.box_sets import Found, Part
from vitlab.data.file_names import Finder, split_of, stem
from vitlab.errors import UserError, listed

_KEYS = ('images', 'annotations', 'categories')


def make(
  path: str,
  image_size: int | Sequence[int] = (480, 640),
  channels: int = 3,
  test_fraction: float = 0.1,
  split_seed: int = 0,
  in_memory: bool = False,
) -> Dataset:
  """The splits that there are files for.

  Args:
    path: A folder, or an archive, of all files; archives in the folder are looked into.
    image_size: (short, long), the sides of the shape that wide and tall pictures are padded to; or
      one number, the side of a square one for all.
    channels: 3 (RGB) or 1 (grey).
    test_fraction: Held out as 'test' where there is no other split.
    split_seed: Which ones are held out.
    in_memory: Decode a picture once and keep it.

  Raises:
    UserError: no such file, not COCO's format, pictures missing, an id given twice, an unknown
      category, boxes that are none; as `box_sets.dataset`.
  """
  tree = open_trees(path)
  contents = {split: _read(path, tree.names[n], tree(n)) for split, n in _files(path, tree)}
  classes = _classes(path, contents.values())
  odd: Counter[str] = Counter()
  find = Finder(tree.names)
  found = Found(
    names=list(classes.values()),
    ids=list(classes),
    parts={
      split: _part(content, tree, find, list(classes), odd) for split, content in contents.items()
    },
    odd=odd,
  )
  how = dict(image_size=image_size, channels=channels, test_fraction=test_fraction)
  return box_sets.dataset(path, found, **how, split_seed=split_seed, in_memory=in_memory)


def _files(path: str, tree: Tree) -> list[tuple[str, int]]:
  """Split and number of each JSON file of boxes."""
  numbers = [n for n, name in enumerate(tree.names) if name.lower().endswith('.json')]
  usual = [n for n in numbers if stem(tree.names[n]).startswith('instances_')]
  usual = usual or [n for n in numbers if tree.names[n].endswith('_annotations.coco.json')]
  numbers = usual or [n for n in numbers if len(numbers) == 1 or b'"images"' in tree(n)]
  if not numbers:
    raise UserError(
      f'{path} holds no JSON file of boxes\n'
      'expected for example instances_train.json and instances_val.json, and pictures beside them'
    )
  found: dict[str, int] = {}
  for number in numbers:
    name = tree.names[number]
    split = split_of(name) or ('train' if len(numbers) == 1 else stem(name))
    if split in found:
      raise UserError(
        f'{path}: {tree.names[found[split]]} and {name} are both {split!r}\n'
        'name JSON files after their splits, one for each: train, val, test'
      )
    found[split] = number
  return sorted(found.items(), key=lambda pair: pair[1])


class _Content(NamedTuple):
  """One JSON file: its path, the names of folders that its pictures may be in, its lists."""

  where: str
  folders: Sequence[str]
  lists: Mapping[str, list[Mapping]]


def _read(path: str, name: str, text: bytes) -> _Content:
  where = f'{path}/{name}'
  try:
    content = json.loads(text)
  except ValueError as error:
    raise UserError(f'{where} is not JSON: {error}') from None
  for key in _KEYS:
    value = content.get(key) if isinstance(content, dict) else None
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
      raise UserError(
        f'{where} has no list of {key}\nexpected COCO\'s format: {{"images": [{{"id", "file_name", '
        '"height", "width"}], "annotations": [{"id", "image_id", "category_id", "bbox"}], '
        '"categories": [{"id", "name"}]}'
      )
  if not content['images']:
    raise UserError(f'{where} lists no images')
  around, last = name.split('/')[:-1], stem(name).removeprefix('instances_')
  return _Content(where, [last, *reversed(around)], content)


def _classes(path: str, contents: Iterable[_Content]) -> dict[int, str]:
  """Id -> name of all categories, by ascending id."""
  found: dict[int, str] = {}
  for where, _, lists in contents:
    for number, category in _by_id(where, lists, 'categories').items():
      if type(number) is not int:
        raise UserError(f'{where}: the category id {number!r} is no whole number')
      name = str(_need(where, 'categories', category, 'name'))
      if found.setdefault(number, name) != name:
        raise UserError(f'{path}: category {number} is {found[number]!r}, and {name!r} in {where}')
  if not found:
    raise UserError(f'{path}: no categories: its JSON lists none')
  return dict(sorted(found.items()))


def _part(
  content: _Content, tree: Tree, find: Finder, ids: Sequence[int], odd: Counter[str]
) -> Part:
  """The pictures of a split in the order of its JSON."""
  where, folders, lists = content
  images = _by_id(where, lists, 'images')
  rows: dict[Any, list[Mapping]] = {number: [] for number in images}
  seen = set()
  for row in lists['annotations']:
    image = _id(where, 'annotations', row, 'image_id')
    if image not in rows:
      odd['annotations of no listed picture, left out'] += 1
      continue
    if row.get('id') in seen:
      raise UserError(f'{where}: two annotations have the id {row["id"]}: give each its own')
    if row.get('id') is not None:
      seen.add(row['id'])
    rows[image].append(row)
  if lists['annotations'] and not any(rows.values()):
    raise UserError(
      f'{where}: none of its annotations is of a picture that it lists'
      f'\ntheir image_id is {lists["annotations"][0]["image_id"]!r} and so on, the ids of its '
      f'images are {listed(list(images))}'
    )
  names = [str(_need(where, 'images', image, 'file_name')) for image in images.values()]
  files = _pictures(where, names, functools.partial(find, folders=folders))
  numbering = {number: label for label, number in enumerate(ids)}
  annotations = []
  for (number, image), file in zip(images.items(), files):
    said, name = (image.get('height'), image.get('width')), tree.names[file]
    size = box_sets.size_of(where, said, name, functools.partial(tree, file))
    objects = _objects(where, rows[number], numbering)
    annotations.append(Annotation(name, number, *size, *objects))
  return Part(tree, files, annotations)


def _pictures(where: str, names: Sequence[str], find: Callable[[str], int | None]) -> list[int]:
  files = [find(name) for name in names]
  missing = [name for name, file in zip(names, files) if file is None]
  if missing:
    raise UserError(
      f'{where} lists {len(names):,} pictures, of which {len(missing):,} are not there, as '
      f'{missing[0]}\nput them into a folder or an archive beside it, or take them out of the file'
    )
  return files


def _objects(where: str, rows: Sequence[Mapping], numbering: Mapping[int, int]) -> tuple:
  """Boxes, classes, areas, which are crowds and which are difficult, of one picture."""
  boxes = np.array([_box(where, row) for row in rows], np.float64).reshape(-1, 4)
  labels = []
  for row in rows:
    category = _id(where, 'annotations', row, 'category_id')
    if category not in numbering:
      raise UserError(
        f'{where}: annotation {row.get("id")} has the unknown category {category!r}\n'
        f'its categories are {listed(list(numbering))}'
      )
    labels.append(numbering[category])
  said = [_area(where, row) for row in rows]
  area = [w * h if a is None else a for a, (_, _, w, h) in zip(said, boxes)]
  crowd = np.array([_crowd(where, row) for row in rows], bool)
  boxes[:, 2:] += boxes[:, :2]
  return (
    *(boxes, np.array(labels, np.int64), np.array(area, np.float64).reshape(-1)),
    *(crowd, np.zeros(len(rows), bool)),
  )


def _box(where: str, row: Mapping) -> list:
  box = _need(where, 'annotations', row, 'bbox')
  if not isinstance(box, list) or len(box) != 4 or not all(type(x) in (int, float) for x in box):
    raise UserError(
      f'{where}: annotation {row.get("id")} has the bbox {box}: expected [x, y, width, height]'
    )
  return box


def _area(where: str, row: Mapping) -> float | int | None:
  area = row.get('area')
  if area is None or type(area) in (int, float) and np.isfinite(area):
    return area
  raise UserError(
    f'{where}: annotation {row.get("id")} has the area {area!r}: expected its pixels, or none'
  )


def _crowd(where: str, row: Mapping) -> bool:
  crowd = row.get('iscrowd') or 0
  if crowd not in (0, 1):  # '0' would be a crowd
    raise UserError(f'{where}: annotation {row.get("id")} has iscrowd {crowd!r}: expected 0 or 1')
  return bool(crowd)


def _by_id(where: str, lists: Mapping[str, list], key: str) -> dict[Any, Mapping]:
  found: dict[Any, Mapping] = {}
  for row in lists[key]:
    number = _id(where, key, row, 'id')
    if number in found:
      raise UserError(f'{where}: two {key} have the id {number}: give each its own')
    found[number] = row
  return found


def _id(where: str, kind: str, row: Mapping, key: str) -> Any:
  value = _need(where, kind, row, key)
  if not isinstance(value, int | float | str | None):
    raise UserError(
      f'{where}: one of its {kind} has the {key} {str(value):.60}: expected one number'
    )
  return value


def _need(where: str, kind: str, row: Mapping, key: str) -> Any:
  if key not in row:
    raise UserError(f'{where}: one of its {kind} has no {key!r}: {str(dict(row)):.120}')
  return row[key]
