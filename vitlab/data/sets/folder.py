"""Your own pictures: one folder a class, on disk or straight out of a .zip, .tar or .tar.gz.

Either the splits are folders, `train/CLASS/*.jpg`, `test/CLASS/*.jpg`, or the classes are at the
top, `CLASS/*.jpg`, and a stratified part of every class is held out as 'test'. A single folder
around all of it is looked through. Classes are numbered in alphabetical order.

Splits are called 'train', 'val' and 'test', whatever their folders are called (Training, dev,
test_set, ...). Pictures without a label in 'val' or 'test', folders beside the splits, and files
that are no pictures are left out; one line of the log counts them.
"""

import functools
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vitlab.data import Dataset
from vitlab.data.archive import counted, open_tree
from vitlab.data.order import stratified
from vitlab.data.pictures import ending, image_facts, is_picture
from vitlab.data.pipeline import Loaded
from vitlab.data.sources import Pictures
from vitlab.data.splits import canonical
from vitlab.errors import UserError, unknown

_log = logging.getLogger(__name__)


def make(
  path: str,
  image_size: int | Sequence[int] = 224,
  channels: int = 3,
  resize: str = 'crop',
  crop_fraction: float = 1.0,
  interpolation: str = 'bicubic',
  library: str = 'vitlab',
  fill: Sequence[int] = (0,),
  test_fraction: float = 0.1,
  split_seed: int = 0,
  in_memory: bool = False,
) -> Dataset:
  """Splits 'train', 'val' and 'test' as there are folders for them, else 'train' and 'test'.

  Examples of a split are in stratified order, so that a slice such as 'train[:90%]' holds every
  class in proportion. Decoding happens when an example is asked for.

  Args:
    path: Folder or archive.
    image_size: (height, width) that pictures are brought to, or one number for both.
    channels: 3 (RGB) or 1 (grey).
    resize: 'squash', 'crop' or 'pad', see `vitlab.data.pictures.preprocess`.
    crop_fraction: Of the picture, with 'crop' and 'squash'.
    interpolation: 'bicubic', 'bilinear', ...
    library: Whose pixels, to the last bit: 'vitlab', or 'timm', 'huggingface', as weights say.
    fill: The colour around a padded picture, 0 to 255.
    test_fraction: Held out of every class where there are no folders for the splits.
    split_seed: Which ones are held out.
    in_memory: Decode a split once and keep it: for small pictures.

  Raises:
    UserError: nothing there, no classes, a class without training pictures, an empty split, folders
      that may be splits or classes, bad arguments.
  """
  image = dict(image_size=image_size, channels=channels, resize=resize)
  image |= dict(crop_fraction=crop_fraction, interpolation=interpolation)
  image = image_facts(**image, library=library, fill=fill)
  if not path:
    raise UserError('data set folder: path is empty; give a folder of pictures, one folder a class')
  if not 0 < test_fraction < 1:
    raise UserError(f'test_fraction={test_fraction}: expected a number between 0 and 1')
  tree = open_tree(path)
  classes, rows = _divide(path, tree.names, test_fraction, split_seed)
  name = _Names(path, tree.names)
  splits = {split: Pictures(tree, name, *row, image) for split, row in rows.items()}
  return Dataset(
    splits={split: Loaded(source) for split, source in splits.items()} if in_memory else splits,
    facts=dict(num_classes=len(classes), class_names=classes, image=image),
  )


def _divide(path: str, names: Sequence[str], test_fraction: float, seed: int) -> tuple[list, dict]:
  """The names of the classes; of every split, the numbers of the files and their labels."""
  left_out: Counter[str] = Counter()
  parts = _parts(path, _entries(path, names, left_out), left_out)
  classes = _classes(path, parts['train'])
  for split in parts.keys() - {'train'}:
    labelled = _labelled(parts[split], classes, split, left_out)
    if labelled or not any(entry.is_picture for entry in parts[split]):
      parts[split] = labelled
    else:  # nothing but pictures without a label
      del parts[split]
  if left_out:
    _say(f'{path}: {counted(left_out)}')
  rows = {split: _rows(path, part, classes, seed) for split, part in sorted(parts.items())}
  if len(rows) == 1:
    files, labels = rows['train']
    train = len(files) - round(test_fraction * len(files))
    rows = dict(train=(files[:train], labels[:train]), test=(files[train:], labels[train:]))
  _check(path, rows, classes)
  return classes, rows


@functools.cache  # the report of a run reads its data once more
def _say(message: str) -> None:
  _log.warning('%s', message)


class _Entry(NamedTuple):
  parts: tuple[str, ...]  # of the path; the last one is '' for a folder
  number: int

  @property
  def is_picture(self) -> bool:
    return bool(self.parts[-1])


class _Names(NamedTuple):
  """Number of a file -> its name for messages."""

  path: str
  names: Sequence[str]

  def __call__(self, number: int) -> str:
    return f'{self.path}/{self.names[number]}'


def _entries(path: str, names: Sequence[str], left_out: Counter[str]) -> list[_Entry]:
  """Pictures and folders, without the one folder that may lie around everything."""
  entries = []
  for number, name in enumerate(names):
    *folders, last = name.split('/')
    if last and not is_picture(last):
      left_out[ending(last)] += 1
      last = ''  # its folder is there all the same
    entries.append(_Entry((*folders, last), number))
  if not any(entry.is_picture for entry in entries):
    there = counted(left_out) if left_out else 'it is empty'
    raise UserError(
      f'{path} holds no pictures: {there}\n'
      'expected .jpg, .png, .webp or another kind that Pillow reads, in one folder a class'
    )
  return _unwrap(entries, lambda top: canonical(top) is None)


def _unwrap(entries: list[_Entry], is_around: Callable[[str], bool]) -> list[_Entry]:
  """Without the folder that lies around all folders of pictures, as often as there is one."""
  while True:
    pictures = [entry.parts for entry in entries if entry.is_picture]
    top = pictures[0][0] if pictures else ''
    if not top or any(len(parts) < 3 or parts[0] != top for parts in pictures):
      return entries
    if not is_around(top):
      return entries
    entries = [e._replace(parts=e.parts[1:]) for e in entries if e.parts[0] == top]


def _parts(path: str, entries: list[_Entry], left_out: Counter[str]) -> dict[str, list[_Entry]]:
  """The entries of every split, their paths below it; all are 'train' where there are no splits."""
  inside: dict[str, set[str]] = {}  # what lies at the top -> the folders of pictures in it
  for entry in entries:
    if entry.is_picture:
      inside.setdefault(entry.parts[0], set()).update(entry.parts[1:-1][:1])
  tops = sorted({entry.parts[0] for entry in entries if len(entry.parts) > 1})
  splits = {split: top for top in reversed(tops) if (split := canonical(top))}
  others = inside.keys() - set(filter(canonical, tops))
  train = splits.get('train', '')
  if others and not (train and len(splits) > 1):
    _check_classes(path, inside, train)
    return {'train': entries}
  if train not in inside:
    there = ', '.join(sorted(splits.values()))
    raise UserError(f'{path} has {there} but no pictures in train/')
  for top in tops:
    split = canonical(top)
    if split and splits[split] != top:
      raise UserError(f'{path}: {splits[split]}/ and {top}/ are both {split!r}: put them together')
  for entry in entries:
    if entry.is_picture and entry.parts[0] in others:
      left_out['pictures outside of ' + ', '.join(f'{top}/' for top in splits.values())] += 1
  below: dict[str, list[_Entry]] = {top: [] for top in splits.values()}
  for entry in entries:
    if entry.parts[0] in below and len(entry.parts) > 1:
      below[entry.parts[0]].append(entry._replace(parts=entry.parts[1:]))
  return {
    split: _unwrap(below[top], lambda name, split=split: canonical(name) == split)
    for split, top in splits.items()
  }


def _check_classes(path: str, inside: Mapping[str, set[str]], train: str) -> None:
  """Raises UserError if what lies at the top looks like splits, and is about to be classes."""
  if inside.get(train):
    other = min(inside.keys() - {train})
    raise UserError(
      f'{path}: {train}/ holds folders as a split does, but {other} beside it is no split\n'
      'name splits train, val and test; put anything else elsewhere'
    )
  for one, other in itertools.combinations(sorted(inside), 2):
    same = inside[one] & inside[other]
    if len(same) > 1 and 2 * len(same) >= min(len(inside[one]), len(inside[other])):
      raise UserError(
        f'{path}: {one}/ and {other}/ hold the same folders, {", ".join(sorted(same)[:3])}\n'
        'name splits train, val and test and put classes into them; '
        'of classes, give their folders different names'
      )


def _classes(path: str, entries: Sequence[_Entry]) -> list[str]:
  """The folders of the training pictures, in alphabetical order."""
  for entry in entries:
    if entry.is_picture and len(entry.parts) == 1:
      raise UserError(
        f'{path}: the picture {entry.parts[0]} lies in no class\n'
        'put pictures into one folder a class: CLASS/*.jpg or train/CLASS/*.jpg'
      )
  return sorted({entry.parts[0] for entry in entries if len(entry.parts) > 1 and entry.parts[0]})


def _labelled(
  entries: list[_Entry], classes: Sequence[str], split: str, left_out: Counter[str]
) -> list[_Entry]:
  """The pictures of a split other than 'train', without those in no class.

  These lie directly in it, or all in one folder that is no class, as in `test/unknown/*.jpg`.
  """
  pictures = [entry for entry in entries if entry.is_picture]
  folders = {entry.parts[0] for entry in pictures if len(entry.parts) > 1}
  known = folders if len(folders) > 1 else folders.intersection(classes)
  labelled = [e for e in pictures if len(e.parts) > 1 and e.parts[0] in known]
  if len(labelled) < len(pictures):
    left_out[f'pictures of {split!r} in no class'] += len(pictures) - len(labelled)
  return labelled


def _rows(
  path: str, entries: Sequence[_Entry], classes: Sequence[str], seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """Numbers of the picture files of a split, in stratified order, and their labels."""
  pictures = [entry for entry in entries if entry.is_picture]
  numbering = {name: label for label, name in enumerate(classes)}
  for entry in pictures:
    if entry.parts[0] not in numbering:
      raise unknown(f'class in {path}, without training pictures:', entry.parts[0], classes)
  files = np.array([entry.number for entry in pictures], np.int64)
  labels = np.array([numbering[entry.parts[0]] for entry in pictures], np.int32)
  order = stratified(labels, seed)
  return files[order], labels[order]


def _check(path: str, rows: dict, classes: Sequence[str]) -> None:
  if len(classes) < 2:
    raise UserError(f'{path}: only one class, {classes[0]!r}; expected one folder a class')
  for split, (files, _) in rows.items():
    if not len(files):
      raise UserError(f'{path}: split {split!r} is empty; add pictures or raise test_fraction')
  for label in np.setdiff1d(np.arange(len(classes)), rows['train'][1]):
    raise UserError(
      f'{path}: class {classes[label]!r} has no training pictures\nadd some or remove its folder'
    )
