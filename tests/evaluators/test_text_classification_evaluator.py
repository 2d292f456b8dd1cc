"""F1 and Matthews' correlation are scikit-learn's of all examples, and beside accuracy."""

import numpy as np
import pytest
from sklearn import metrics as scores

from vitlab import metrics, registry
from vitlab.evaluators import _classified, classification, text_classification

RANDOM = np.random.default_rng(0)
LABEL = RANDOM.integers(0, 3, 200)
LOGITS = RANDOM.normal(size=(200, 5)) + 2 * np.eye(5)[LABEL]  # of 5 classes two have no text


def predictions(logits, label=LABEL):
  def read(name, split):
    assert (name, split) == ('logits', 'test')
    yield logits, dict(label=label, index=np.arange(len(label)))

  return read


def evaluated(logits, label=LABEL):
  return registry.make('evaluators', dict(name='text_classification'))(predictions(logits, label))


def test_scores_are_those_of_all_examples():
  found, said = evaluated(LOGITS), LOGITS.argmax(1)
  assert found.metrics['f1'] == pytest.approx(scores.f1_score(LABEL, said, average='macro'))
  assert found.metrics['matthews'] == pytest.approx(scores.matthews_corrcoef(LABEL, said))
  assert 0.3 < found.metrics['matthews'] < found.metrics['accuracy'] < 1
  base = classification.make(top_k=(1,))(predictions(LOGITS))
  assert {**found.metrics, **base.metrics} == found.metrics
  assert set(found.details) == set(base.details)


def test_a_constant_has_no_correlation_and_half_of_a_class_no_f1():
  label = np.repeat([0, 1], [30, 10])
  found = evaluated(np.tile([1.0, 0.0], (40, 1)), label).metrics
  assert found['matthews'] == 0 and found['accuracy'] == 0.75
  assert found['f1'] == pytest.approx((2 * 30 / 70 + 0) / 2)


def test_what_is_not_a_number_is_wrong_in_all_of_them():
  logits = np.where(np.arange(200)[:, None] < 40, np.nan, LOGITS)
  said = np.where(np.arange(200) < 40, -1, LOGITS.argmax(1))
  found, classes = evaluated(logits).metrics, sorted({*LABEL, *said} - {-1})
  wanted = scores.f1_score(LABEL, said, average='macro', labels=classes)
  assert found['f1'] == pytest.approx(wanted) and found['f1'] < evaluated(LOGITS).metrics['f1']
  assert found['matthews'] == pytest.approx(scores.matthews_corrcoef(LABEL, said))


def test_without_a_matrix_they_are_left_out(monkeypatch):
  monkeypatch.setattr(_classified, 'MAX_CONFUSION', 4)
  assert not {'f1', 'matthews'} & set(evaluated(LOGITS).metrics)


def test_accuracy_leads_and_f1_is_a_share():
  names = [f'test/{name}' for name in evaluated(LOGITS).metrics]
  assert metrics.leading(names) == ['test/accuracy']
  assert metrics.percent('test/f1', 0.5) == '50.00 %'
  assert metrics.percent('test/matthews', 0.5) is None
  assert not any(map(metrics.smaller_is_better, ('test/f1', 'test/matthews')))
  assert text_classification.LEADS == 'accuracy'
