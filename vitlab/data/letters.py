"""Rows of letters between [CLS] and [SEP], of different lengths: texts without a download."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from vitlab.data import Dataset
from vitlab.data.sources import Arrays
from vitlab.errors import UserError

VOCABULARY = ('[PAD]', '[CLS]', '[SEP]', 'a', 'b', 'c')
PAD, CLS, SEP, FIRST = range(4)  # FIRST: the number of the first letter
Lengths = Int[np.ndarray, 'rows 1']


def check(name: str, min_length: int, max_length: int, train: int, test: int) -> None:
  """Raises UserError where the numbers of a set cannot be."""
  if not 1 <= min_length <= max_length or train < 1 or test < 1:
    raise UserError(
      f'{name}(min_length={min_length}, max_length={max_length}, train={train}, test={test}): '
      'give lengths of 1 or more, the longest last, and at least one row of each split'
    )


def framed(letters: Int[np.ndarray, 'rows t'], length: Lengths) -> Int[np.ndarray, 'rows t']:
  """The rows with [CLS] in the place of their first letter, [SEP] behind `length` more, padding."""
  at = np.arange(letters.shape[1])
  tokens = np.where(at <= length, letters, np.where(at == length + 1, SEP, PAD))
  tokens[:, 0] = CLS
  return tokens


def dataset(
  tokens: Int[np.ndarray, 'rows t'],
  length: Lengths,
  train: int,
  class_names: Sequence[str],
  **right: np.ndarray,
) -> Dataset:
  """Splits 'train', the first rows, and 'test', of `tokens`, `segments` and what is right."""
  rows = dict(tokens=tokens, segments=np.arange(tokens.shape[1]) <= length + 1, **right)
  rows = {key: x.astype(np.int32) for key, x in rows.items()}
  facts = dict(vocab_size=len(VOCABULARY), vocabulary=list(VOCABULARY))
  facts |= dict(num_classes=len(class_names), class_names=list(class_names))
  facts |= dict(max_length=tokens.shape[1])
  splits = dict(train=slice(train), test=slice(train, None))
  arrays = {name: {key: x[part] for key, x in rows.items()} for name, part in splits.items()}
  return Dataset({name: Arrays(x) for name, x in arrays.items()}, facts)
