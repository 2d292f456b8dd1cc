"""Perplexity and bits, by token, character and byte."""

import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.evaluators import perplexity

NLL = np.array([[[1.0, 2.0, 9.0], [0.5, 0.0, 0.0]], [[0.5, 2.0, 0.0], [9.0, 9.0, 9.0]]])
COUNTED = np.array([[[1, 1, 0], [1, 0, 0]], [[1, 1, 0], [0, 0, 0]]], bool)
RIGHT = COUNTED & (NLL < 1)


def predictions(name, split):
  assert (name, split) == ('scores', 'val')
  for nll, right, counted in zip(NLL, RIGHT, COUNTED):
    yield dict(nll=np.where(counted, nll, 0), right=right, counted=counted), {}


def test_numbers_are_their_definitions():
  sizes = dict(val=dict(tokens=10, characters=40, bytes=50), train=dict(tokens=1, characters=1))
  found, details = perplexity.make('val', sizes)(predictions)
  bits = 6 / 5 / np.log(2)  # of five tokens that count
  wanted = dict(loss=6 / 5, perplexity=np.exp(6 / 5), bits_per_token=bits, token_accuracy=2 / 5)
  wanted |= dict(bits_per_character=bits * 10 / 40, bits_per_byte=bits * 10 / 50)
  assert found == pytest.approx(wanted)
  np.testing.assert_allclose(details['place_loss'], [2 / 3, 2, np.nan])
  np.testing.assert_array_equal(details['place_count'], [3, 2, 0])


@pytest.mark.parametrize('sizes', [None, {}, dict(test=dict(tokens=1, characters=1, bytes=1))])
def test_without_sizes_of_its_split_there_are_no_bits_by_them(sizes):
  found, _ = perplexity.make('val', sizes)(predictions)
  assert found.keys() == {'loss', 'perplexity', 'bits_per_token', 'token_accuracy'}


def test_a_split_in_which_nothing_counts_is_refused():
  for batches in (
    [],
    [(dict(nll=np.zeros((1, 2)), right=np.zeros((1, 2)), counted=np.zeros((1, 2), bool)), {})],
  ):
    with pytest.raises(UserError, match="no token of the split 'test' counts"):
      perplexity.make()(lambda *_, batches=batches: iter(batches))
