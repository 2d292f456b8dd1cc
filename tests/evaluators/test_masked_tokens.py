"""Hidden tokens that are counted once each, and passages beside them."""

import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.evaluators import masked_tokens


def predictions(parts, reads='guesses'):
  def predict(name, split):
    assert (name, split) == (reads, 'test')
    yield from parts

  return predict


def part(first, counted, right, nll, following=None, label=None):
  counted, right, nll = map(np.array, (counted, right, nll))
  shape = counted.shape
  found = dict(nll=nll * counted, right=right & counted, counted=counted)
  found |= dict(place=np.full(shape, 7), target=np.full(shape, 5), guess=np.full(shape, 6))
  batch = dict(index=np.arange(first, first + len(counted)))
  batch['tokens'] = np.tile([4, 5, 0], (len(counted), 1))
  batch['segments'] = np.tile([1, 1, 0], (len(counted), 1))
  if following is not None:
    found['next_passage'], batch['label'] = np.array(following), np.array(label)
  return found, batch


def test_means_over_hidden_tokens():
  parts = [
    part(0, [[True, True], [True, False]], [[True, False], [True, True]], [[1.0, 2.0], [3.0, 9.0]]),
    part(2, [[True, False]], [[False, True]], [[6.0, 9.0]]),
  ]
  metrics, details = masked_tokens.make()(predictions(parts))
  assert metrics == dict(
    masked_loss=3.0, masked_perplexity=pytest.approx(np.exp(3.0)), masked_accuracy=0.5
  )
  np.testing.assert_array_equal(details['guess_index'], [0, 1, 2])
  np.testing.assert_array_equal(details['guess_place'], [[7, 7], [7, -1], [7, -1]])
  np.testing.assert_array_equal(details['guess_tokens'], [[4, 5, -1]] * 3)


def test_the_passage_that_follows():
  parts = [part(0, [[True]] * 2, [[True]] * 2, [[1.0]] * 2, [[1.0, 0.0], [0.0, 1.0]], [0, 0])]
  assert masked_tokens.make()(predictions(parts)).metrics['next_accuracy'] == 0.5


def test_guesses_that_do_not_know_each_other():
  reads, parts = 'guesses_at_once', [part(0, [[True]], [[True]], [[1.0]])]
  metrics = masked_tokens.make(reads=reads)(predictions(parts, reads)).metrics
  assert metrics['masked_accuracy'] == 1


def test_as_many_examples_as_a_page_shows():
  parts = [part(40 * i, [[True]] * 40, [[True]] * 40, [[1.0]] * 40) for i in range(3)]
  assert len(masked_tokens.make()(predictions(parts)).details['guess_index']) == 64


def test_a_split_in_which_nothing_is_hidden():
  with pytest.raises(UserError, match='no token of the split'):
    masked_tokens.make()(predictions([part(0, [[False]], [[False]], [[0.0]])]))
