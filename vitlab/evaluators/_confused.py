"""What a detector takes for what from a score on, and the pictures in which it errs most."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from vitlab.evaluators._detected import Picture, overlap

IOU = 0.5
WORST, SUREST = 32, 64  # pictures that are kept for the report, and detections of each

RIGHT, CONFUSED, FALSE, FREE = range(4)
OUTCOMES = ('right', 'wrong class', 'nothing there', 'does not count')
MISSED = 2  # an object's third outcome


class Judged(NamedTuple):
  """A picture with only what was found from the score on.

  Attributes:
    picture: With it.
    outcome: Of each detection: its place in `OUTCOMES`.
    partner: The object that it was found for, -1 for none.
    truth_outcome: Of each object: right, wrong class, missed, does not count.
  """

  picture: Picture
  outcome: Int[np.ndarray, ' n']
  partner: Int[np.ndarray, ' n']
  truth_outcome: Int[np.ndarray, ' m']

  def errors(self) -> int:
    """Objects that were missed or named wrongly, and detections of nothing."""
    found = np.isin(self.truth_outcome, (CONFUSED, MISSED)).sum()
    return int(found + (self.outcome == FALSE).sum())


def judge(picture: Picture, score: float) -> Judged:
  """Pairs detections and objects, each at most once, where they overlap by `IOU` or more.

  Pairs of one class come first, then those of two, each in the order of overlap. What is left over
  on a crowd or a difficult object does not count.
  """
  picture, truth = picture.kept(picture.scores >= score), picture.truth
  free = truth.crowd | truth.difficult
  ious = overlap(picture.boxes, truth.boxes, truth.crowd)
  partner = _pairs(np.where(free, 0, ious), picture.classes[:, None] == truth.classes)
  same = picture.classes == np.append(truth.classes, -1)[partner]
  outcome = np.where(partner < 0, FALSE, np.where(same, RIGHT, CONFUSED))
  near_free = (np.where(free, ious, 0) >= IOU).any(axis=1)
  outcome[(partner < 0) & near_free] = FREE
  truth_outcome = np.where(free, FREE, MISSED)
  truth_outcome[partner[partner >= 0]] = outcome[partner >= 0]
  return Judged(picture, outcome, partner, truth_outcome)


def confusion(judged: Sequence[Judged], num_classes: int) -> Int[np.ndarray, 'k k']:
  """Objects by what they were found as; behind the classes a row and a column of the background."""
  table = np.zeros((num_classes + 1, num_classes + 1), np.int32)
  for one in judged:
    found, truth = one.picture.classes, one.picture.truth.classes
    paired = one.partner >= 0
    np.add.at(table, (truth[one.partner[paired]], found[paired]), 1)
    np.add.at(table, (num_classes, found[one.outcome == FALSE]), 1)
    np.add.at(table, (truth[one.truth_outcome == MISSED], num_classes), 1)
  return table


def by_picture(judged: Sequence[Judged]) -> dict[str, np.ndarray]:
  """How many of each kind there are in each picture."""
  counts = dict(
    right=[(one.outcome == RIGHT).sum() for one in judged],
    confused=[(one.outcome == CONFUSED).sum() for one in judged],
    missed=[(one.truth_outcome == MISSED).sum() for one in judged],
    false=[(one.outcome == FALSE).sum() for one in judged],
    index=[one.picture.index for one in judged],
  )
  return {f'picture_{name}': np.array(column, np.int32) for name, column in counts.items()}


def worst(judged: Sequence[Judged], pictures: Sequence[Picture], score: float) -> dict[str, Any]:
  """Boxes of the pictures with most errors, what lies below the score among them.

  Args:
    judged: The pictures from the score on.
    pictures: The same with all that was found.
    score: The score.
  """
  order = sorted(range(len(judged)), key=lambda i: -judged[i].errors())[:WORST]
  order = [i for i in order if judged[i].errors()]
  found = [_surest(pictures[i], judged[i].outcome, score) for i in order]
  truths = [judged[i].picture.truth for i in order]
  joined = lambda parts, like: np.concatenate([like, *parts])  # noqa: E731
  none, empty = np.zeros(0, np.int32), np.zeros((0, 4), np.float32)
  lengths = dict(
    found=[len(one.classes) for one, _ in found], truth=[len(t.classes) for t in truths]
  )
  return dict(
    worst_index=np.array([pictures[i].index for i in order], np.int32),
    worst_size=np.array([(t.height, t.width) for t in truths], np.int32).reshape(-1, 2),
    found_picture=np.repeat(np.arange(len(order)), lengths['found']).astype(np.int32),
    found_boxes=joined([one.boxes for one, _ in found], empty).astype(np.float32),
    found_scores=joined([one.scores for one, _ in found], none).astype(np.float32),
    found_classes=joined([one.classes for one, _ in found], none).astype(np.int32),
    found_outcome=joined([outcome for _, outcome in found], none).astype(np.int32),
    truth_picture=np.repeat(np.arange(len(order)), lengths['truth']).astype(np.int32),
    truth_boxes=joined([t.boxes for t in truths], empty).astype(np.float32),
    truth_classes=joined([t.classes for t in truths], none).astype(np.int32),
    truth_crowd=joined([t.crowd for t in truths], np.zeros(0, bool)),
    truth_outcome=joined([judged[i].truth_outcome for i in order], none).astype(np.int32),
  )


def _pairs(ious: Float[np.ndarray, 'n m'], same: Bool[np.ndarray, 'n m']) -> Int[np.ndarray, ' n']:
  """The object of each detection, -1 for none."""
  partner, taken = np.full(len(ious), -1), np.zeros(ious.shape[1], bool)
  rows, columns = np.nonzero(ious >= IOU)
  for place in np.lexsort((-ious[rows, columns], ~same[rows, columns])):
    i, j = rows[place], columns[place]
    if partner[i] < 0 and not taken[j]:
      partner[i], taken[j] = j, True
  return partner


def _surest(
  picture: Picture, outcome: Int[np.ndarray, ' m'], score: float
) -> tuple[Picture, Int[np.ndarray, ' n']]:
  """The surest detections of a picture, and their outcomes, -1 below the score."""
  outcomes = np.full(len(picture.scores), -1)
  outcomes[picture.scores >= score] = outcome
  order = np.argsort(-picture.scores, kind='stable')[:SUREST]
  return picture.kept(order), outcomes[order]
