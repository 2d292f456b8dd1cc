"""Data sets as random access: a split is a sequence of examples; a data set is splits and facts.

`vitlab/data/sets/<name>.py` holds `make(**spec) -> Dataset`; `pipeline.py` turns a split into
batches whose content depends on nothing but (seed, step).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

BESIDE = ('text', 'truth')  # what a source has beside the arrays of an example, for evaluators

Example = dict[str, np.ndarray | np.generic]  # a label is a NumPy scalar


@runtime_checkable  # so that the checks of shapes in tests can see it
class Source(Protocol):
  """A split: picklable, random access, no state. An example is a dict of arrays.

  What else a source may have:

    arrays    key -> array, examples along the first axis, if all lies in memory: batches are then
              gathered at once, not example by example.
    gather(numbers)    examples at once, stacked, where that is faster than one by one.
    lengths, buckets    of examples that are rows of different lengths, perhaps with a number beside
              them: the length of each, and the few that batches are padded to, ascending.
    sizes, shapes    of pictures of different sizes: height and width of each, and the few shapes
              that batches are padded to, by area; see `vitlab.data.fitted`.
    order(step, batch_size, seed)    the numbers of the examples of a training batch, where they are
              not to come in random order.
    describe(index)    the name of an example for messages, such as its file.
    text(index)    of sentences: key -> the line that became these tokens, to the letter.
    truth(index)    of pictures with objects: their `vitlab.data.annotations.Annotation`, untouched.
    digest()    which examples it holds, in which order, found without decoding them: see
              `vitlab.data.identity`.
  """

  def __len__(self) -> int: ...

  def __getitem__(self, index: int) -> Example: ...


class Dataset(NamedTuple):
  """Splits by name, and facts that models, reports and predictions need.

  Attributes:
    splits: For example 'train' and 'test'.
    facts: JSON-able. For classification: num_classes, class_names, and image = the arguments of
      `vitlab.data.pictures.preprocess` that turn any picture into what the model was trained on.
  """

  splits: Mapping[str, Source]
  facts: Mapping[str, Any]
