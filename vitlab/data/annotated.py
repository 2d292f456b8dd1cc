"""The kinds of split that detection learns from: pictures with boxes, their truth beside them."""

import functools
from collections.abc import Mapping, Sequence

import numpy as np

from vitlab.data.annotations import Annotation
from vitlab.data.sources import Arrays, Selection


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


class AnnotatedSelection(Selection):
  """A `Selection` from splits with truth; in memory where all of them are."""

  @functools.cached_property
  def arrays(self) -> Mapping[str, np.ndarray]:
    # AttributeError, as everywhere, where they are not in memory
    views = [{k: a[start:stop] for k, a in s.arrays.items()} for s, start, stop in self._pieces]
    return {key: np.concatenate([view[key] for view in views]) for key in views[0]}
