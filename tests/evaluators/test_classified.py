"""Classifiers of images and of texts are counted alike."""

import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.evaluators import _classified, classification, text_classification

LABEL = np.array([0, 1, 2, 1, 0, 2])
LOGITS = np.random.default_rng(0).normal(size=(6, 3))


def predictions(name, split):
  yield LOGITS, dict(label=LABEL, index=np.arange(6))


def test_both_evaluators_say_the_same_and_one_says_more():
  found = _classified.scored(predictions, 'test', (1, 2), 5)
  for module, more in [(classification, set()), (text_classification, {'f1', 'matthews'})]:
    result = module.make(top_k=(1, 2), bins=5)(predictions)
    assert set(result.metrics) - set(found.metrics) == more
    assert {key: result.metrics[key] for key in found.metrics} == found.metrics
    for key, values in found.details.items():
      np.testing.assert_array_equal(result.details[key], values)


def test_what_is_asked_must_be_positive():
  for words in (dict(bins=0), dict(top_k=(0,))):
    with pytest.raises(UserError, match=r'text_classification\(top_k=.*all must be positive'):
      text_classification.make(**words)
