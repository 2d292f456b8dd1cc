"""How near samples are to real examples, in the features of an encoder: what a GAN is judged by.

No such number means anything alone: it depends on the encoder, the number of examples, the split
and how pictures were resized, so they stand beside it; and real examples are not at distance 0 of
other real examples, which is its floor.
"""

import functools
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from vitlab.errors import UserError
from vitlab.evaluators import Absent, Predictions, Result
from vitlab.evaluators._sample_numbers import (
  Gaussian,
  Set,
  frechet_distance,
  kernel_distance,
  precision_recall,
)

LEADS = 'frechet'
SEED = 0  # of the real examples that are drawn for the floor


class Floor(NamedTuple):
  """Two disjoint sets of real examples, of equal size, and where they are from."""

  left: Set
  right: Set
  text: str


def make(
  split: str = 'test',
  floor_split: str = 'train',
  k: int = 3,
  subsets: int = 100,
  subset_size: int = 1000,
  encoder: str | None = None,
  resize: str | None = None,
  num_classes: int | None = None,
) -> Callable[[Predictions], Result]:
  """Reads the task's `features`, `sample_features` and, where it has them, `sample_logits`.

  Args:
    split: Real examples, and how many samples are made: one for each of them.
    floor_split: Other real examples, of which as many are drawn; or the same split, whose two
      halves are compared. An encoder knows what it was trained on too well: of such a split take
      the halves. They have half as many examples, and the floor is higher for it.
    k: The neighbour that precision and recall reach to.
    subsets: Subsets that KID is the mean over.
    subset_size: Examples of each in a subset, fewer where there are not as many.
    encoder: The name of what gives the features, to stand beside the numbers.
    resize: How pictures are brought to its size, to stand beside the numbers.
    num_classes: Classes of the data, a fact of theirs: an encoder that knows another number of them
      is not asked what it recognises.

  Metrics: frechet, kid, precision, recall, of samples against the split; frechet_floor, kid_floor,
  of real examples against others; recognised, the share of samples that the encoder takes for the
  class that was asked for. Samples that are not finite make the first four NaN, and are not
  recognised.

  Details: encoder, resize, split, floor, count, floor_count, width; kid_std, kid_subsets,
  kid_subset_size; real_precision, real_recall, of the floor's two sets;
  recognised_confusion [classes, classes], class asked for by class recognised;
  recognised_by_class, NaN of a class that was not asked for; signatures, all this in a line, and a
  line that warns where there are fewer examples than features.

  Raises:
    UserError: k, subsets or subset_size is too small; when it runs, a split has too few examples.
  """
  if k < 1 or subsets < 1 or subset_size < 2:
    raise UserError(
      f'frechet(k={k}, subsets={subsets}, subset_size={subset_size}): k and subsets must be '
      'positive, and a subset has two examples or more'
    )

  measured: dict[bytes, dict[str, Any]] = {}  # a frozen encoder's floor stays as it is

  def once(floor: Floor, compare: Callable[[Set, Set], dict[str, Any]]) -> dict[str, Any]:
    sets = b''.join(hashlib.sha256(x).digest() for x in (floor.left, floor.right))
    if sets not in measured:
      measured.clear()
      measured[sets] = compare(floor.left, floor.right)
    return measured[sets]

  def evaluate(predictions: Predictions) -> Result:
    real, fake = (_read(predictions, n, split) for n in ('features', 'sample_features'))
    floor = _floor(predictions, real, split, floor_split)
    if len(floor.left) <= k:
      raise UserError(
        f'frechet with k={k} compares sets of more than {k} examples: {floor.text} are '
        f'{len(floor.left)}\ntake larger splits'
      )
    compare = functools.partial(_compared, k=k, subsets=subsets, subset_size=subset_size)
    found, least = compare(real, fake), once(floor, compare)
    metrics = {name: found[name] for name in ('frechet', 'kid', 'precision', 'recall')}
    metrics |= {f'{name}_floor': least[name] for name in ('frechet', 'kid')}
    beside = dict(encoder=encoder or 'not named', resize=resize or 'not named', split=split)
    beside |= dict(floor=floor.text, floor_count=len(floor.left))
    beside |= dict(count=len(real), width=real.shape[1])
    beside |= {name: found[name] for name in ('kid_std', 'kid_subsets', 'kid_subset_size')}
    beside |= {f'real_{name}': least[name] for name in ('precision', 'recall')}
    beside['signatures'] = np.array(_signatures(beside, k))
    recognised = _recognised(predictions, split, num_classes)
    return Result(metrics | recognised.metrics, beside | recognised.details)

  return evaluate


def _compared(left: Set, right: Set, k: int, subsets: int, subset_size: int) -> dict[str, Any]:
  """All distances of two sets; NaN of what is not finite."""
  finite = np.isfinite(left).all() and np.isfinite(right).all()
  with np.errstate(invalid='ignore', over='ignore'):
    kid = kernel_distance(right, left, subsets, subset_size)
  precision = recall = distance = np.nan
  if finite:
    precision, recall = precision_recall(left, right, k)
    distance = frechet_distance(Gaussian.of(left), Gaussian.of(right))
  else:  # also where no subset has met it
    kid = kid._replace(mean=np.nan, std=np.nan)
  found = dict(frechet=distance, kid=kid.mean, precision=precision, recall=recall)
  return found | dict(kid_std=kid.std, kid_subsets=kid.subsets, kid_subset_size=kid.size)


def _read(predictions: Predictions, name: str, split: str) -> Set:
  """The rows in the order of the split, however they came: no number depends on it."""
  rows = [(np.asarray(x, np.float32), batch['index']) for x, batch in predictions(name, split)]
  if not rows:
    raise UserError(f'the split {split!r} has no examples to evaluate: choose another split')
  features, index = map(np.concatenate, zip(*rows))
  return features[np.argsort(index, kind='stable')].reshape(len(index), -1)


def _floor(predictions: Predictions, real: Set, split: str, other_split: str) -> Floor:
  """Of the same sizes where both have as many; which examples are drawn is always the same."""
  draws = np.random.default_rng(SEED)
  if other_split == split:
    half, order = len(real) // 2, draws.permutation(len(real))
    left, right = real[np.sort(order[:half])], real[np.sort(order[half : 2 * half])]
    return Floor(left, right, f'two halves of {split}')
  other = _read(predictions, 'features', other_split)
  size = min(len(real), len(other))
  left, right = (x[np.sort(draws.permutation(len(x))[:size])] for x in (real, other))
  return Floor(left, right, f'{split} and {other_split}')


def _recognised(predictions: Predictions, split: str, num_classes: int | None) -> Result:
  """Nothing where the task has no logits of samples, or those of other classes."""
  rows = []
  try:
    for logits, batch in predictions('sample_logits', split):
      if num_classes not in (None, np.shape(logits)[1]):
        return Result({}, {})
      rows.append((np.asarray(logits), batch['label']))
  except Absent:
    return Result({}, {})
  logits, asked = map(np.concatenate, zip(*rows))
  classes = logits.shape[1]
  known = np.isfinite(logits).all(1)
  confusion = np.zeros((classes, classes), np.int32)
  np.add.at(confusion, (asked[known], logits[known].argmax(1)), 1)
  right = np.diagonal(confusion)
  with np.errstate(invalid='ignore'):
    by_class = right / np.bincount(asked, minlength=classes)
  details = dict(recognised_confusion=confusion, recognised_by_class=by_class)
  return Result(dict(recognised=float(right.sum() / len(asked))), details)


def _signatures(details: Mapping[str, Any], k: int) -> list[str]:
  """How the numbers were measured, and what is wrong with it; alike at every step of a run."""
  count, width = details['count'], details['width']
  said = dict(encoder=details['encoder'], width=width, n=count, split=details['split'])
  said['floor'] = f'{details["floor"]}, {details["floor_count"]} each'
  said |= dict(resize=details['resize'], k=k)
  said['kid'] = f'{details["kid_subsets"]} x {details["kid_subset_size"]}'
  lines = ['|'.join(['frechet', *(f'{name}:{value}' for name, value in said.items())])]
  if min(count, details['floor_count']) < width:
    lines.append(
      f'warning: {min(count, details["floor_count"])} examples say little of the covariance of '
      f'{width} features: frechet is too large, compare it with its floor alone'
    )
  return lines
