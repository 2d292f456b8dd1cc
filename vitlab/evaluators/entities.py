"""How many of the entities of texts are found, as CoNLL and seqeval count them.

The tag of a word says whether it begins an entity, goes on with one, ends one or is one alone (B-,
I-, E-, S-, and the kind behind the hyphen), or is in none (O). An entity is found if its kind and
both its ends are right. Tags may begin one with I- (IOB1): whatever stands there is read as
conlleval reads it, not corrected.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vitlab.errors import UserError
from vitlab.evaluators import Predictions, Result

LEADS = 'f1'
_OUTSIDE = 'O'
_TAG = re.compile(r'O|[BIES](-.*)?')


class Entity(NamedTuple):
  """A part of a text: its kind, its first word and the one behind its last."""

  kind: str
  start: int
  stop: int


def make(class_names: Sequence[str], split: str = 'test') -> Callable[[Predictions], Result]:
  """Reads the task's `scores`.

  Args:
    class_names: The tags in the order of their numbers.
    split: Of texts.

  Metrics: precision, recall and f1 of all entities together, those of the text and those that were
  said (micro averages; left out where tags are of another kind, such as parts of speech); accuracy
  and loss, means over words.

  Details: kinds, and for each how many entities there are (`kind_true`), were said (`kind_said`)
  and were right (`kind_right`).

  Raises:
    UserError: the split has no word with a tag.
  """
  names, of_entities = list(class_names), all(map(_TAG.fullmatch, class_names))

  def evaluate(predictions: Predictions) -> Result:
    true, said, right, words, loss, hits = Counter(), Counter(), Counter(), 0, 0.0, 0
    for tags, guesses, values in _sentences(predictions('scores', split)):
      words, loss = words + len(tags), loss + float(values.sum())
      hits += int((tags == guesses).sum())
      if of_entities:
        ours, theirs = ({*entities([names[i] for i in row])} for row in (guesses, tags))
        for count, found in ((true, theirs), (said, ours), (right, ours & theirs)):
          count.update(entity.kind for entity in found)
    if not words:
      raise UserError(f'no word of the split {split!r} has a tag: choose another split')
    metrics = dict(accuracy=hits / words, loss=loss / words)
    if not of_entities:
      return Result(metrics, {})
    kinds = sorted({*true, *said})
    counts = dict(true=true, said=said, right=right)
    details = {f'kind_{key}': np.array([n[k] for k in kinds], int) for key, n in counts.items()}
    totals = [sum(count.values()) for count in (right, said, true)]
    return Result(agreement(*totals) | metrics, details | dict(kinds=np.array(kinds, str)))

  return evaluate


def agreement(right: int, said: int, true: int) -> dict[str, float]:
  """Precision, recall and their harmonic mean; 0 where there is nothing to divide by."""
  precision, recall = right / max(said, 1), right / max(true, 1)
  return dict(precision=precision, recall=recall, f1=2 * right / max(said + true, 1))


def entities(tags: Sequence[str]) -> Iterator[Entity]:
  """The entities of a text, by the tags of its words."""
  before, kind, start = _OUTSIDE, '', 0
  for i, tag in enumerate([*tags, _OUTSIDE]):
    place, own = tag[0], tag[2:]
    other = own != kind  # kinds differ: one ends where it is, and another begins
    ends = before in 'ES' or (before in 'BI' and place in 'BSO')
    if before != _OUTSIDE and (ends or other):
      yield Entity(kind, start, i)
    begins = place in 'BS' or (before in 'ESO' and place in 'EI')
    if place != _OUTSIDE and (begins or other):
      start = i
    before, kind = place, own


def _sentences(
  outputs: Iterator[tuple[Any, Mapping[str, Any]]],
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
  """Of every text the tags of its words, those that were guessed, and the losses."""
  for found, _ in outputs:
    for row in zip(*(np.asarray(found[key]) for key in ('tag', 'guess', 'nll', 'counted'))):
      *columns, counted = row
      tag, guess, nll = (column[counted] for column in columns)
      yield tag, guess, nll.astype(np.float64)
