"""The vectors of a vocabulary, and where words are in it."""

import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from vitlab.errors import UserError
from vitlab.evaluators import Predictions


def vectors(predictions: Predictions, split: str) -> Float[np.ndarray, 'words d']:
  """Of all words, in the order of the vocabulary."""
  return np.concatenate([np.asarray(rows) for rows, _ in predictions('features', split)])


def numbers(vocabulary: Sequence[str] | None, limit: int = 0) -> dict[str, int]:
  """Word in upper case -> its number; of those that differ in case alone, the first.

  Args:
    vocabulary: The words, the most frequent first.
    limit: How many of the first are known; 0: all.

  Raises:
    UserError: no words: the data are not of this kind.
  """
  if not vocabulary:
    raise UserError('these data have no vocabulary: word vectors are learned from word_windows')
  found: dict[str, int] = {}
  for number, word in enumerate(vocabulary[: limit or None]):
    found.setdefault(word.upper(), number)
  return found


def lines(path: str, what: str) -> list[str]:
  """The lines of a text file.

  Raises:
    UserError: it cannot be read; says what it would hold.
  """
  try:
    return pathlib.Path(path).expanduser().read_text(encoding='utf-8-sig').splitlines()
  except (OSError, UnicodeDecodeError) as error:
    reason = getattr(error, 'strerror', None) or 'it is not UTF-8'
    raise UserError(f'{path or "(no path)"}: {reason}\nexpected {what}') from None
