"""A trained generator at work: pictures of classes that are asked for, in one grid or in files."""

import functools
import logging
import math
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int, Num, UInt8
from PIL import Image

from vitlab.errors import UserError, listed
from vitlab.lines import one_line, visible
from vitlab.predict import DEFAULTS, Options, Program
from vitlab.predict.trained import Trained
from vitlab.train.weights import computed

TAKES = ('samples',)  # of the options
BATCH_SIZE = 64  # pictures that are drawn at once
SAMPLES, ALONE = 8, 64  # of each class; of a model without classes, or of one class
MOST = 16  # classes that are drawn where none is asked for
SMALL = 480  # pixels of the longer side, below which a grid is enlarged

_log = logging.getLogger(__name__)


class Kind(NamedTuple):
  """A class that pictures are drawn of; a model without classes has one, without a name."""

  label: int
  name: str


class Sampler:
  """A trained generator.

  Its pictures have numbers, by which the noise is drawn: that of one number is the same for every
  class, and its picture the same, whatever else is asked for.

  Args:
    trained: The model.
  """

  def __init__(self, trained: Trained):
    self._variables = trained.variables
    self._samples = jax.jit(trained.task.predict['samples'])
    self.classes = classes(trained)

  def __call__(
    self, label: Int[np.ndarray, ' n'], **of: Num[np.ndarray, 'n ...']
  ) -> UInt8[np.ndarray, 'n h w c']:
    """Pictures of these classes and of these numbers, `index`, or of this `noise`."""
    found, columns = [], dict(label=label, **of)
    for start in range(0, len(label), BATCH_SIZE):
      part = {name: column[start : start + BATCH_SIZE] for name, column in columns.items()}
      image = self._samples(self._variables, {name: _filled(x) for name, x in part.items()})
      found.append(stored(np.asarray(image)[: len(part['label'])]))
    return np.concatenate(found)


def stored(image: Float[np.ndarray, '*n h w c']) -> UInt8[np.ndarray, '*n h w c']:
  """Pictures in [0, 1] as a file of bytes holds them."""
  return np.round(255 * image).astype(np.uint8)


def classes(trained: Trained) -> list[Kind]:
  """The classes that a generator knows, in order; one without a name where it knows none."""
  count = computed(trained.config, trained.facts).get('num_classes') or 0
  names = trained.facts.get('class_names') or map(str, range(count))
  return [Kind(i, str(name)) for i, name in enumerate(names)][:count] or [Kind(0, '')]


def run(trained: Trained, paths: Sequence[str], options: Options = DEFAULTS) -> None:
  """Draws pictures and prints what they are and where they lie.

  Args:
    trained: The model. `truncation` and `seed` are those of its task.
    paths: Names or numbers of classes; none: all of them, of more than 16 the first.
    options: `output` is a PNG file for a grid, a row for each class, by default samples.png in the
      workdir; or a folder, for a file of each picture. `samples` are drawn of each class, by
      default 8, of one class alone 64.

  Raises:
    UserError: an unknown class, or an output that is neither.
  """
  if options.nbest > 1:
    raise UserError(f'--nbest={options.nbest}: {trained.workdir!r} draws pictures; see --samples')
  sampler = Sampler(trained)
  kinds = _asked(sampler.classes, paths)
  each = options.samples or (SAMPLES if len(kinds) > 1 else ALONE)
  path = pathlib.Path(options.output or pathlib.Path(trained.workdir) / 'samples.png')
  alone = _is_folder(path)
  images = sampler(**each_of(kinds, each))
  try:
    if alone:
      _save_each(path, images, kinds)
    else:
      path.parent.mkdir(parents=True, exist_ok=True)
      columns = each if len(kinds) > 1 else math.ceil(each**0.5)
      enlarged(grid(images, columns)).save(path)
  except OSError as error:
    raise UserError(f'--output={path}: {error.strerror}: choose another one') from error
  print(visible(f'{path}: {_said(trained, kinds, each, alone)}'))


def exported(trained: Trained) -> Program:
  """The generator as a program: noise and, where it knows classes, their int32 numbers -> pictures
  in [0, 1].
  """
  predict, kinds = trained.task.predict, classes(trained)
  number = jax.ShapeDtypeStruct((1,), np.int32)
  noise = jax.eval_shape(functools.partial(predict['noise'], {}), dict(index=number))
  knows = bool(kinds[0].name)
  return Program(
    lambda noise, *label: predict['samples'](
      trained.variables, dict(noise=noise) | dict(zip(('label',), label))
    ),
    (noise, number) if knows else noise,
    dict(class_names=[kind.name for kind in kinds] if knows else []),
  )


def grid(images: UInt8[np.ndarray, 'n h w c'], columns: int) -> UInt8[np.ndarray, 'y x c']:
  """Pictures row by row, white between them and where there are no more."""
  n, h, w, c = images.shape
  rows, gap = -(-n // columns), max(1, h // 16)
  tiles = np.full((rows * columns, h + gap, w + gap, c), 255, np.uint8)
  tiles[:n, :h, :w] = images
  tiles = tiles.reshape(rows, columns, h + gap, w + gap, c).swapaxes(1, 2)
  return tiles.reshape(rows * (h + gap), columns * (w + gap), c)[:-gap, :-gap]


def enlarged(image: UInt8[np.ndarray, 'h w c']) -> Image.Image:
  """A picture for eyes: of a small one every pixel is a square."""
  factor = max(1, -(-SMALL // max(image.shape[:2])))
  return _picture(image.repeat(factor, 0).repeat(factor, 1))


def each_of(kinds: Sequence[Kind], count: int) -> dict[str, Int[np.ndarray, ' n']]:
  """What a `Sampler` is given for the first pictures of each class, class by class."""
  number, label = np.arange(count, dtype=np.int32), [kind.label for kind in kinds]
  return dict(index=np.tile(number, len(kinds)), label=np.repeat(np.int32(label), count))


def _asked(known: Sequence[Kind], given: Sequence[str]) -> list[Kind]:
  """The classes of these names or numbers, each once."""
  if not given:
    if len(known) > MOST:
      _log.warning('%d of %d classes are drawn: name others', MOST, len(known))
    return list(known[:MOST])
  if not known[0].name:
    raise UserError(f'{given[0]!r}: the model draws pictures without being told a class: name none')
  by_name = {str(kind.label): kind for kind in known} | {kind.name: kind for kind in known}
  for name in given:
    if name not in by_name:
      names = listed([kind.name for kind in known], 12)
      raise UserError(f'unknown class {name!r}: the generator draws {names}, or their numbers')
  return list(dict.fromkeys(by_name[name] for name in given))


def _is_folder(path: pathlib.Path) -> bool:
  """Whether single files are asked for, and no grid."""
  ending = path.suffix.lower()
  if path.is_dir() or not ending[1:].isalpha():
    return True
  if ending != '.png':
    raise UserError(f'--output={path}: give a file x.png for a grid, or a folder for single files')
  return False


def _save_each(folder: pathlib.Path, images: np.ndarray, kinds: Sequence[Kind]) -> None:
  """A file for each picture, named by number and class."""
  folder.mkdir(parents=True, exist_ok=True)
  for image, name in zip(images, _file_names(len(images) // len(kinds), kinds), strict=True):
    _picture(image).save(folder / name)


def _file_names(each: int, kinds: Sequence[Kind]) -> Iterator[str]:
  for kind in kinds:
    # The number of the class tells apart what looks alike without its signs.
    words = [str(kind.label), re.sub(r'\W+', '-', kind.name).strip('-')[:60]]
    suffix = '_'.join(dict.fromkeys(filter(None, words))) if kind.name else ''
    for number in range(each):
      yield f'{number:04d}{"_" if suffix else ""}{suffix}.png'


def _said(trained: Trained, kinds: Sequence[Kind], each: int, alone: bool) -> str:
  """What has been drawn."""
  task = trained.config.task
  names = listed([one_line(kind.name) for kind in kinds if kind.name])
  if len(kinds) > 1:
    what = f'{each} pictures of each of {len(kinds)} classes'
    what += f', {"" if alone else "rows from the top: "}{names}'
  else:
    what = f'{each} pictures' + (f' of {names}' if names else '')
  truncation = task.get('truncation', 0.0)
  return f'{what}; seed {task.get("seed", 0)}, ' + (
    f'truncation {truncation:g}' if truncation else 'no truncation'
  )


def _picture(image: UInt8[np.ndarray, 'h w c']) -> Image.Image:
  return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image[..., :3])


def _filled(x: Num[np.ndarray, 'n ...']) -> Num[np.ndarray, 'b ...']:
  """One size: one program, and the same bits of every picture whatever stands beside it."""
  return np.pad(x, [(0, BATCH_SIZE - len(x)), *[(0, 0)] * (x.ndim - 1)])
