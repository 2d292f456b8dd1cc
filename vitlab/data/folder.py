"""Your own pictures: one folder a class, on disk or straight out of a .zip, .tar or .tar.gz.

Either the splits are folders, `train/CLASS/*.jpg`, `test/CLASS/*.jpg`, or the classes are at the
top, `CLASS/*.jpg`, and a stratified part of every class is held out as 'test'. A single folder
around all of it is looked through. Classes are numbered in alphabetical order.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vitlab.data import Dataset
from vitlab.data._archive import open_tree
from vitlab.data._images import SUFFIXES, check_image_arguments
from vitlab.data._order import stratified
from vitlab.data._pipeline import Loaded
from vitlab.data._sources import Pictures
from vitlab.errors import UserError, unknown

_SPLITS = ('train', 'val', 'valid', 'validation', 'test')


def make(
  path: str,
  image_size: int | Sequence[int] = 224,
  channels: int = 3,
  resize: str = 'crop',
  crop_fraction: float = 1.0,
  interpolation: str = 'bicubic',
  test_fraction: float = 0.1,
  split_seed: int = 0,
  in_memory: bool = False,
) -> Dataset:
  """Splits as the folders are named, else 'train' and 'test'.

  Examples of a split are in stratified order, so that a slice such as 'train[:90%]' holds every
  class in proportion. Decoding happens when an example is asked for.

  Args:
    path: Folder or archive.
    image_size: (height, width) that pictures are brought to, or one number for both.
    channels: 3 (RGB) or 1 (grey).
    resize: 'squash', 'crop' or 'pad', see `vitlab.data._images.preprocess`.
    crop_fraction: Of the picture, with 'crop' and 'squash'.
    interpolation: 'bicubic', 'bilinear', ...
    test_fraction: Held out of every class where there are no folders for the splits.
    split_seed: Which ones are held out.
    in_memory: Decode a split once and keep it: for small pictures.

  Raises:
    UserError: nothing there, no classes, an empty class or split, bad arguments.
  """
  image = dict(image_size=image_size, channels=channels, resize=resize)
  image |= dict(crop_fraction=crop_fraction, interpolation=interpolation)
  image['image_size'] = check_image_arguments(**image)
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
  entries = _entries(path, names)
  tops = {entry.parts[0] for entry in entries if entry.is_picture}
  if tops <= set(_SPLITS):
    if 'train' not in tops:
      raise UserError(f'{path} has {", ".join(sorted(tops))} but no pictures in train/')
    folders = {e.parts[0] for e in entries if len(e.parts) > 1}  # also those without pictures
    parts = {
      top: [e._replace(parts=e.parts[1:]) for e in entries if e.parts[0] == top]
      for top in folders.intersection(_SPLITS)
    }
  else:
    parts = {'train': entries}
  classes = _classes(path, parts['train'])
  rows = {split: _rows(path, part, classes, seed) for split, part in sorted(parts.items())}
  if len(rows) == 1:
    files, labels = rows['train']
    train = len(files) - round(test_fraction * len(files))
    rows = dict(train=(files[:train], labels[:train]), test=(files[train:], labels[train:]))
  _check(path, rows, classes)
  return classes, rows


class _Entry(NamedTuple):
  parts: tuple[str, ...]  # of the path; the last one is '' for a folder
  number: int

  @property
  def is_picture(self) -> bool:
    return self.parts[-1].lower().endswith(SUFFIXES)


class _Names(NamedTuple):
  """Number of a file -> its name for messages."""

  path: str
  names: Sequence[str]

  def __call__(self, number: int) -> str:
    return f'{self.path}/{self.names[number]}'


def _entries(path: str, names: Sequence[str]) -> list[_Entry]:
  """What is not hidden, without the one folder that may lie around everything."""
  entries = [_Entry(tuple(name.split('/')), number) for number, name in enumerate(names)]
  entries = [e for e in entries if not any(p.startswith(('.', '__MACOSX')) for p in e.parts)]
  while True:
    pictures = [e.parts for e in entries if e.is_picture]
    if not pictures:
      raise UserError(f'{path} holds no pictures ({" ".join(SUFFIXES)})')
    top = pictures[0][0]
    if top in _SPLITS or any(len(parts) < 3 or parts[0] != top for parts in pictures):
      return entries
    entries = [e._replace(parts=e.parts[1:]) for e in entries if e.parts[0] == top]


def _classes(path: str, entries: Sequence[_Entry]) -> list[str]:
  """The folders of the training pictures, in alphabetical order."""
  for entry in entries:
    if entry.is_picture and len(entry.parts) == 1:
      raise UserError(
        f'{path}: the picture {entry.parts[0]} lies in no class\n'
        'put pictures into one folder a class: CLASS/*.jpg or train/CLASS/*.jpg'
      )
  return sorted({entry.parts[0] for entry in entries if len(entry.parts) > 1 and entry.parts[0]})


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
