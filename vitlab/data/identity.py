"""What makes a data set this one: its classes, its vocabulary, its examples and their order.

A run is a function of its config and its data; what the data were is kept beside it, and compared
at every start. Nothing is decoded for it: pictures are known by name, arrays by content.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vitlab.data import Dataset, Source
from vitlab.errors import UserError, listed

SAMPLE = 2**28  # bytes of an array that are looked at: of a larger one, every n-th example
SPLITS = 'splits'  # the key of facts.json that the facts of the data set do not have


def of(dataset: Dataset) -> dict[str, Any]:
  """The identity of a data set as plain JSON: the same on every machine and in every process.

  Returns:
    `class_names` where there are classes, `vocabulary` (a digest) where there are words, and
    `splits`: name -> dict(examples=how many, digest=`digest_of` the split).
  """
  return of_facts({**dataset.facts, SPLITS: splits(dataset)})


def of_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
  """The identity that facts.json has kept; without `splits` where an older version wrote it."""
  found = {key: facts[key] for key in (SPLITS,) if facts.get(key)}
  if facts.get('class_names'):
    found['class_names'] = list(facts['class_names'])
  if words := facts.get('tokenizer') or facts.get('vocabulary'):
    found['vocabulary'] = digest(json.dumps(words))
  return found


def splits(dataset: Dataset) -> dict[str, dict[str, Any]]:
  """Split -> how many examples it has, and the digest of them; see `of`."""
  return {
    name: dict(examples=len(source), digest=digest_of(source))
    for name, source in dataset.splits.items()
  }


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
  """In words, how one identity (`of`, `of_facts`) differs from another; empty if it does not.

  What only one of them knows counts as equal: an older version kept less, and a new split harms
  nobody.
  """
  found = []
  if _differ(before.get('class_names'), now.get('class_names')):
    found += _class_changes(before['class_names'], now['class_names'])
  if _differ(before.get('vocabulary'), now.get('vocabulary')):
    found.append('the vocabulary is another one')
  others = not found  # else no digest can be what it was
  for name, old in before.get(SPLITS, {}).items():
    new = now.get(SPLITS, {}).get(name, old)
    if new['examples'] != old['examples']:
      found.append(f'{name}: {new["examples"]:,} examples were {old["examples"]:,}')
    elif others and _differ(old['digest'], new['digest']):
      found.append(f'{name}: its {new["examples"]:,} examples are others, or in another order')
  return found


def check_same(facts: Mapping[str, Any], dataset: Dataset, folder: str) -> None:
  """Raises UserError unless a data set is the one of a run: numbers of examples would mean others.

  Args:
    facts: facts.json of the run.
    dataset: What is there now.
    folder: The workdir.
  """
  if found := changes(of_facts(facts), of(dataset)):
    raise UserError(f'{folder}: its data have changed: {"; ".join(found)}')


def check(facts: Mapping[str, Any] | None, dataset: Dataset, folder: str) -> dict[str, Any]:
  """Whether a run may go on with this data set.

  Args:
    facts: facts.json of the run; None: it has none, and any data set will do.
    dataset: What is there now.
    folder: The workdir.

  Returns:
    The facts to keep in facts.json: those of the data set, and the identity of its splits.

  Raises:
    UserError: the data set is not the one that the run was started on; says what has changed.
  """
  kept = {**dataset.facts, SPLITS: splits(dataset)}
  if not isinstance(facts, Mapping):
    return kept
  if found := changes(of_facts(facts), of_facts(kept)):
    raise UserError(
      f'workdir {folder!r} was started on other data: {"; ".join(found)}'
      '\nto continue that run put the data back; to start a new one choose another --workdir,'
      f'\nor to go on with the data as they are now: rm {folder}/facts.json'
    )
  return kept | {SPLITS: {**facts.get(SPLITS, {}), **kept[SPLITS]}}


def digest_of(source: Source) -> str | None:
  """Of the examples of a split and their order; None if the source cannot say."""
  if hasattr(source, 'digest'):
    return source.digest()
  return digest_of_arrays(source.arrays) if hasattr(source, 'arrays') else None


def digest_of_arrays(arrays: Mapping[str, np.ndarray]) -> str:
  """Of what the arrays are called and hold."""
  return digest(*(part for key in sorted(arrays) for part in (key, arrays[key])))


def digest(*parts: str | np.ndarray) -> str:
  """A short name of texts and arrays: 16 digits of SHA-256."""
  found = hashlib.sha256()
  for part in parts:
    if isinstance(part, str):
      found.update(f'{len(part)} {part}'.encode())
      continue
    found.update(f'{part.dtype}{part.shape}'.encode())
    part = part[:: max(1, -(-part.nbytes // SAMPLE))]
    found.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8))
  return found.hexdigest()[:16]


def _differ(before: Any, now: Any) -> bool:
  """Whether both are known, and not equal."""
  return bool(before) and bool(now) and before != now


def _class_changes(before: Sequence[str], now: Sequence[str]) -> list[str]:
  old, new = set(before), set(now)
  if old == new:
    pairs = [(i, *pair) for i, pair in enumerate(zip(before, now)) if pair[0] != pair[1]]
    return [f'class {i} was {a!r}, is {b!r}' for i, a, b in pairs[:2]]
  gone, came = [n for n in before if n not in new], [n for n in now if n not in old]
  found = [f'classes gone: {listed(gone, 3)}'] if gone else []
  return found + ([f'classes new: {listed(came, 3)}'] if came else [])
