"""Images of a run: its mistakes, and what the model looks at."""

import collections
import logging
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from vitlab.data import Source, identity
from vitlab.errors import UserError
from vitlab.predict import trained as trained_lib
from vitlab.predict.trained import Trained
from vitlab.report import mistakes as mistakes_lib
from vitlab.report.classification import bias
from vitlab.report.classification.look import Look, looker, reads
from vitlab.report.mistakes import Mistake

_log = logging.getLogger(__name__)

MISTAKES = 24
ATTENDED = 8  # half of them mistakes, if there are so many
SILENCE = 4.0  # seconds that looking may take without a word
SEARCHED = 256  # examples among which the others are looked for, to have different classes


class Picture(NamedTuple):
  """One image of a split and what the model made of it.

  Attributes:
    index: Its place in the split.
    image: What the model saw, before augmentation and normalisation.
    label: The true class, -1 where nobody knows it.
    predicted: The class that the model gave, -1 where its logits are NaN.
    confidence: The probability that the model gave to `predicted`.
    look: What that rests on.
    name: Of its file, '' where it has none.
  """

  index: int
  image: UInt8[np.ndarray, 'h w c']
  label: int
  predicted: int
  confidence: float
  look: Look | None = None
  name: str = ''


class Pictures(NamedTuple):
  """What the page shows of a split.

  Attributes:
    mistakes: The surest first.
    attended: Images that the model was looked at with.
    reads: The tokens that it reads, in words: those whose attention is shown.
    biases: Its relative position biases, by block.
  """

  mistakes: Sequence[Picture] = ()
  attended: Sequence[Picture] = ()
  reads: str = ''
  biases: Mapping[str, np.ndarray] = {}


def collect(folders: Sequence[str | pathlib.Path]) -> list[Pictures]:
  """Pictures of runs, of the split that their first classification evaluator reads.

  Those of several runs are of the same images, those first on which the runs differ.

  Raises:
    UserError: there is no checkpoint or no evaluation yet, or the data set cannot be read here; the
      runs were not evaluated on the same images.
  """
  tested = [_tested(pathlib.Path(folder)) for folder in folders]
  if len(tested) == 1:
    return [look(*tested[0])]
  _check_the_same([trained for trained, _, _ in tested], [source for _, source, _ in tested])
  wrong = [[index for index, *_ in mistakes] for _, _, mistakes in tested]
  indices = _telling(wrong, tested[0][1])
  return [_looked(trained, source, [], indices) for trained, source, _ in tested]


def look(trained: Trained, source: Source, mistakes: Sequence[Mistake]) -> Pictures:
  """Pictures of known mistakes, and of what the model looks at in some of them and in others.

  Args:
    trained: The model.
    source: The split that the mistakes index.
    mistakes: Of an evaluation, the surest first.

  Returns:
    No images that were looked at where looking fails; the log says why.
  """
  seen = [Picture(i, source[i]['image'], *said) for i, *said in mistakes[:MISTAKES]]
  indices = [one.index for one in seen[: ATTENDED // 2]]
  indices += _others(source, {index for index, *_ in mistakes}, ATTENDED - len(indices))
  return _looked(trained, source, seen, indices)


def _looked(
  trained: Trained, source: Source, mistakes: Sequence[Picture], indices: Sequence[int]
) -> Pictures:
  try:
    look_at = looker(trained)
    attended = [attend(look_at, source[index], index) for index in _told(indices)]
    windows = [layer.window for layer in attended[0].look.layers] if attended else []
    return Pictures(mistakes, attended, reads(trained), bias.tables(trained, windows))
  except Exception as error:  # the page is worth having without them
    _log.warning('the report goes without what the model looks at: %s', error)
    return Pictures(mistakes)


def _told(indices: Sequence[int]) -> Iterator[int]:
  """The indices, with a line on stderr now and then: a large model takes seconds an image."""
  told = time.monotonic()
  for number, index in enumerate(indices, 1):
    if time.monotonic() - told > SILENCE:
      told = time.monotonic()
      what = 'attention, saliency and occlusion'
      print(f'report: {what} of image {number} of {len(indices)}', file=sys.stderr, flush=True)
    yield index


def attend(look_at: Callable[..., Look], example: Mapping[str, Any], index: int) -> Picture:
  """One image, what the model says of it and what that rests on.

  Args:
    look_at: See `vitlab.report.classification.look.looker`.
    example: Its 'image' and, where somebody knows it, 'label'.
    index: Its place.
  """
  seen = look_at(example['image'])
  predicted = int(seen.probabilities.argmax())
  confidence = float(seen.probabilities[predicted])
  known = int(example.get('label', -1))
  predicted = predicted if np.isfinite(confidence) else -1
  return Picture(index, example['image'], known, predicted, confidence, seen)


def _tested(folder: pathlib.Path) -> tuple[Trained, Source, list[Mistake]]:
  """A model, the split that it was evaluated on, its mistakes there."""
  trained = trained_lib.load(str(folder))
  return trained, *mistakes_lib.stored(folder, trained.config, trained.facts)


def _check_the_same(models: Sequence[Trained], sources: Sequence[Source]) -> None:
  """Each run may prepare the images in its own way, but they must be the same ones."""
  kinds = {
    (
      len(source),
      tuple(trained.facts.get('class_names') or ()),
      identity.digest_of(source) or trained.config.data['name'],
    )
    for trained, source in zip(models, sources)
  }
  if len(kinds) > 1:
    raise UserError('the runs were not evaluated on the same images')


def _telling(wrong: Sequence[Sequence[int]], source: Source) -> list[int]:
  """Images that only some models get wrong, then such that all do, then others."""
  counts = collections.Counter(index for mistakes in wrong for index in mistakes)
  differ = [index for index, count in counts.items() if count < len(wrong)]
  agreed = [index for index, count in counts.items() if count == len(wrong)]
  indices = (differ[: ATTENDED // 2] + agreed[: ATTENDED // 4])[:ATTENDED]
  return indices + _others(source, set(counts), ATTENDED - len(indices))


def _others(source: Source, taken: set[int], count: int) -> list[int]:
  """Indices of images that are no mistakes, of as many different classes as there are."""
  by_class: dict[int, list[int]] = {}
  for index in range(min(len(source), SEARCHED)):
    if index not in taken:
      by_class.setdefault(int(source[index]['label']), []).append(index)
  rounds = [(place, index) for group in by_class.values() for place, index in enumerate(group)]
  return [index for _, index in sorted(rounds)[:count]]
