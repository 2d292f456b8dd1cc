"""The kinds of split that detection learns from: pictures with boxes, their truth beside them."""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from vitlab.data import Example, Source, fitted
from vitlab.data.annotations import Annotation, training_rows
from vitlab.data.identity import digest
from vitlab.data.order import batch_of_one_kind
from vitlab.data.pictures import fit
from vitlab.data.sources import Arrays, Selection


class ByShape:
  """The order of a split of pictures of different `sizes`: batches are of wide or of tall ones."""

  sizes: Int[np.ndarray, 'examples 2']
  shapes: tuple[fitted.Size, ...]

  def order(self, step: int, batch_size: int, seed: int) -> Int[np.ndarray, ' b']:
    tall = (self.sizes > self.shapes[0]).any(axis=1)
    return batch_of_one_kind(step, batch_size, tall, seed)


class AnnotatedPictures(ByShape):
  """A split of encoded pictures with boxes, decoded when they are asked for.

  An example is `image` [h w c] as large as the picture fits the shape of its orientation, `size`
  (h, w), and `boxes` and `classes` of what is learned from; batches pad the picture.

  Attributes:
    shapes: (height, width) that its batches are padded to, by area.
    sizes: Those of the pictures in them.

  Args:
    read: number of a file -> its bytes; picklable and thread-safe.
    files: The numbers of this split's files.
    annotations: Of each.
    image: `image_size`, `channels` and `interpolation` of `vitlab.data.pictures.fit`.
    max_objects: Rows of boxes.
    in_memory: Decode a picture once and keep it.
  """

  def __init__(
    self,
    read: Callable[[int], bytes],
    files: Sequence[int],
    annotations: Sequence[Annotation],
    image: Mapping[str, Any],
    max_objects: int,
    in_memory: bool = False,
  ):
    self._read, self._files, self._annotations = read, list(files), list(annotations)
    self._image, self._max_objects = dict(image), max_objects
    self._kept: dict[int, np.ndarray] | None = {} if in_memory else None
    placed = [fitted.placed((a.height, a.width), image['image_size']) for a in annotations]
    self.sizes = np.array(placed, np.int64).reshape(-1, 2)
    self.shapes = fitted.needed(image['image_size'], self.sizes)

  def __len__(self) -> int:
    return len(self._annotations)

  def __getitem__(self, index: int) -> Example:
    index = range(len(self))[index]
    image, truth = self._pixels(index), self._annotations[index]
    size = image.shape[:2]
    boxes, classes = training_rows(truth, size, self._max_objects)
    return dict(image=image, size=np.array(size, np.int32), boxes=boxes, classes=classes)

  def _pixels(self, index: int) -> np.ndarray:
    if self._kept is not None and index in self._kept:
      return self._kept[index]
    truth = self._annotations[index]
    about = dict(name=truth.name, drawn=(truth.height, truth.width))
    image, _ = fit(self._read(self._files[index]), **self._image, **about)
    if self._kept is not None:
      self._kept[index] = image
    return image

  def truth(self, index: int) -> Annotation:
    return self._annotations[index]

  def describe(self, index: int) -> str:
    return self._annotations[index].name

  def digest(self) -> str:
    """Of the names of the files, wherever they lie, and what is said of them: none is opened."""
    names = [truth.name for truth in self._annotations]
    common = len(os.path.commonprefix([min(names), max(names)])) if names else 0
    said = [getattr(truth, key) for truth in self._annotations for key in ('boxes', 'classes')]
    return digest('\n'.join(name[common:] for name in names), *said)


class AnnotatedArrays(Arrays):
  """A split in memory with its truth.

  Args:
    arrays: As `Arrays`.
    annotations: Of every example.
  """

  def __init__(self, arrays: Mapping[str, np.ndarray], annotations: Sequence[Annotation]):
    super().__init__(arrays)
    self._annotations = annotations

  def truth(self, index: int) -> Annotation:
    return self._annotations[index]

  def describe(self, index: int) -> str:
    return self._annotations[index].name


class ArraysSelection(Selection):
  """A `Selection` that stays in memory, with whatever the splits have beside their arrays."""

  @functools.cached_property
  def arrays(self) -> Mapping[str, np.ndarray]:
    views = [{k: a[start:stop] for k, a in s.arrays.items()} for s, start, stop in self._pieces]
    return {key: np.concatenate([view[key] for view in views]) for key in views[0]}


class ShapedSelection(ByShape, Selection):
  """A `Selection` from splits of pictures of different sizes."""

  def __init__(self, pieces: Sequence[tuple[Source, int, int]]):
    super().__init__(pieces)
    self.sizes = np.concatenate([source.sizes[i:j] for source, i, j in pieces])
    self.shapes = fitted.needed(tuple(sorted(pieces[0][0].shapes[0])), self.sizes)
