"""Every token of every document is said once, in rows that are nearly full."""

import numpy as np
import pytest

from vitlab.data.texts.packing import Packing

LENGTHS = np.random.default_rng(0).integers(2, 40, 500)


@pytest.mark.parametrize('size, stride', [(17, 16), (17, 5), (2, 1), (64, 63)])
def test_every_target_is_new_once(size, stride):
  packing = Packing(LENGTHS, size, stride)
  new = [np.zeros(length, int) for length in LENGTHS]
  for row in range(len(packing)):
    pieces = packing[row]
    assert 0 < (pieces[:, 2] - pieces[:, 1]).sum() <= size
    for document, start, stop, known in pieces.tolist():
      assert start < known <= stop  # a token is said with at least one before it
      assert start == 0 or known - start == size - stride
      new[document][known:stop] += 1
  assert all((said[1:] == 1).all() and said[0] == 0 for said in new)


def test_short_documents_are_not_cut_and_rows_are_full():
  packing = Packing(LENGTHS, 64, 63)
  pieces = np.concatenate([packing[row] for row in range(len(packing))])
  assert len(pieces) == len(LENGTHS) and sorted(pieces[:, 0].tolist()) == list(range(500))
  assert LENGTHS.sum() / (64 * len(packing)) > 0.97


def test_the_same_documents_give_the_same_rows_in_their_order():
  packing = Packing(np.array([5, 4, 9, 3, 6, 2]), 10, 9)
  assert [packing[row][:, 0].tolist() for row in range(len(packing))] == [[0, 1], [2], [3, 4]] + [
    [5]
  ]
