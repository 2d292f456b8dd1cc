"""Classes by name: what a model calls 3 and a data set calls 5 is the same, if both say 'dog'."""

import collections
import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from vitlab.data import Dataset, Example, Source
from vitlab.data.annotations import Annotation
from vitlab.data.identity import digest, digest_of
from vitlab.errors import UserError, listed, unknown

WAYS = ('name', 'position')
LABELS = ('label', 'classes')  # of an example, of its boxes
_log = logging.getLogger(__name__)


def align(dataset: Dataset, facts: Mapping[str, Any], where: str, by: str = 'name') -> Dataset:
  """A data set whose labels are the numbers of a model's classes.

  Args:
    dataset: Stays as it is where it has no classes.
    facts: The facts of the data set that the model was trained on.
    where: Where the model is from, for messages.
    by: See `numbers`.

  Returns:
    The data set, its labels renumbered if need be. Its classes are all of the model's: there may be
    some of which it has no example.

  Raises:
    UserError: as `numbers`.
  """
  found = numbers(dataset.facts, facts, where, by)
  if found is None:
    return dataset
  names = list(facts['class_names'])
  renumbered = dict(class_names=names, num_classes=len(names))
  if ids := dataset.facts.get('class_ids'):
    of = dict(zip(found.tolist(), ids))
    renumbered['class_ids'] = [of.get(number) for number in range(len(names))]
  return Dataset(
    {split: Renumbered(source, found) for split, source in dataset.splits.items()},
    {**dataset.facts, **renumbered},
  )


def numbers(
  data: Mapping[str, Any],
  model: Mapping[str, Any],
  where: str,
  by: str = 'name',
  instead: str = '',
) -> Int[np.ndarray, ' classes'] | None:
  """Where the classes of a data set stand among those of a model.

  Args:
    data: The facts of the data set: the names of its classes in the order of their labels.
    model: Those of the model, in the order of its logits; without names if nobody said them.
    where: Where the model is from, for messages.
    by: 'name', or 'position': the labels are the numbers of the model.
    instead: What else the user may do, for messages.

  Returns:
    Label -> number of the model; None: they are the same, or nobody can know better.

  Raises:
    UserError: a class of the data is none of the model's, or a name does not tell classes apart;
      by position, the model has another number of classes.
  """
  if by not in WAYS:
    raise unknown('config.match_classes', by, WAYS)
  data, model = (list(facts.get('class_names') or ()) for facts in (data, model))
  if not data or data == model:
    return None
  named = are_names(data) and are_names(model)
  if by == 'position' or not named:
    if not named:
      _log.warning('%s: classes without names are known by their position alone', where)
    if model and len(data) != len(model):
      raise UserError(
        f'{where} has {len(model)} classes, the data have {len(data)}: {listed(data)}'
      )
    return None
  place = {name: i for i, name in enumerate(model)}
  what, wrong = 'unknown to it', [name for name in data if name not in place]
  if not wrong:
    count = collections.Counter(model) + collections.Counter(data)
    what, wrong = 'of several classes', [name for name in dict.fromkeys(data) if count[name] > 2]
  if wrong:
    raise UserError(
      f'{where} knows the classes {listed(model)}; the data have {listed(data)}; {what}: '
      f'{listed(wrong)}\ngive the same classes the same names, or, if only their names differ and '
      'not their order: --config.match_classes=position' + (instead and f'\n{instead}')
    )
  return np.array([place[name] for name in data], np.int32)


def are_names(names: Sequence[str]) -> bool:
  """Whether they say more than the position: Hugging Face's LABEL_3 does not, nor our 'class 3'."""
  return any(name not in (f'LABEL_{i}', placeholder(i)) for i, name in enumerate(names))


def placeholder(number: int) -> str:
  """What a class is called whose name nobody knows."""
  return f'class {number}'


class Renumbered:
  """A split with other labels: those of a table, label -> label; -1, which is no class, stays."""

  def __init__(self, source: Source, table: Int[np.ndarray, ' classes']):
    self._source, self._table = source, np.append(table, np.int32(-1))

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> Example:
    return self._renumbered(self._source[index])

  @functools.cached_property
  def arrays(self) -> Mapping[str, np.ndarray]:
    # AttributeError, as everywhere, where they are not in memory
    return self._renumbered(self._source.arrays)

  def _renumbered(self, values: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: self._table[values[key]] for key in LABELS if key in values}
    return {**values, **found}

  def __getattr__(self, name: str) -> Any:  # lengths, order, ...: whatever else the split has
    if name.startswith('_'):  # not of a half unpickled one
      raise AttributeError(name)
    found = getattr(self._source, name)
    return self._truth if name == 'truth' else found

  def _truth(self, index: int) -> Annotation:
    truth = self._source.truth(index)
    return truth._replace(classes=self._table[truth.classes])

  def digest(self) -> str | None:
    found = digest_of(self._source)
    return found and digest(found, self._table)
