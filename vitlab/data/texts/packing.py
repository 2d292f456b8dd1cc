"""Documents of any length in rows of one: which piece of which document stands in which row."""

import numpy as np
from jaxtyping import Int


class Packing:
  """Rows of pieces of documents.

  A document longer than a row is cut into pieces that begin `stride` tokens apart; all others are
  whole. Each goes to the row with the least space that still holds it (best fit), a
  new one if there is none, in the order of the documents: the same documents always give the same.

  Args:
    lengths: Of the documents, in tokens.
    size: Tokens in a row.
    stride: At most size - 1: the last token of a piece is the first that the next one reads.
  """

  def __init__(self, lengths: Int[np.ndarray, ' documents'], size: int, stride: int):
    pieces = _pieces(lengths, size, stride)
    rows = _best_fit(pieces[:, 2] - pieces[:, 1], size)
    self._pieces = pieces[np.argsort(rows, kind='stable')]
    self._ends = np.cumsum(np.bincount(rows))

  def __len__(self) -> int:
    return len(self._ends)

  def __getitem__(self, row: int) -> Int[np.ndarray, 'pieces 4']:
    """Of every piece: its document, where it begins and ends there, and from where it is new."""
    return self._pieces[self._ends[row - 1] if row else 0 : self._ends[row]]


def _pieces(
  lengths: Int[np.ndarray, ' documents'], size: int, stride: int
) -> Int[np.ndarray, 'pieces 4']:
  counts = 1 + np.maximum(0, -((size - lengths) // stride))
  document = np.repeat(np.arange(len(lengths)), counts)
  number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
  start = number * stride
  stop = np.minimum(start + size, lengths[document])
  new = np.where(number, start - stride + size, 1)  # nothing says the first token
  return np.stack([document, start, stop, new], axis=1)


def _best_fit(lengths: Int[np.ndarray, ' pieces'], size: int) -> Int[np.ndarray, ' pieces']:
  """The row of every piece."""
  with_space: list[list[int]] = [[] for _ in range(size + 1)]  # space -> rows
  spaces = 0  # bit n: there are rows with a space of n
  rows, count = [], 0
  for length in lengths.tolist():
    if fitting := spaces >> length:
      space = length + (fitting & -fitting).bit_length() - 1
      row = with_space[space].pop()
      if not with_space[space]:
        spaces ^= 1 << space
    else:
      row, space, count = count, size, count + 1
    rows.append(row)
    if space > length:
      with_space[space - length].append(row)
      spaces |= 1 << (space - length)
  return np.array(rows, np.int64)
