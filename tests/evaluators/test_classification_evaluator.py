"""Numbers of a classifier against scikit-learn and against counting by hand."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn import metrics as reference

from vitlab.errors import UserError
from vitlab.evaluators import classification


def predictions(logits, label, batch=7):
  """A stand-in for the engine: rows in order, in batches, without padding."""

  def run(name, split):
    assert (name, split) == ('logits', 'test')
    index = np.arange(len(label))
    for i in range(0, len(label), batch):
      rows = slice(i, i + batch)
      yield logits[rows], {'label': label[rows], 'index': index[rows]}

  return run


@pytest.fixture
def example():
  rng = np.random.default_rng(0)
  label = rng.integers(0, 8, 200).astype(np.int32)
  logits = rng.normal(size=(200, 8)) + 2 * np.eye(8)[label]
  return logits.astype(np.float32), label


def rows(result, prefix, names):
  columns = [result.details[f'{prefix}_{name}'] for name in names]
  return [dict(zip(names, row)) for row in zip(*columns)]


def test_metrics_equal_scikit_learn(example):
  logits, label = example
  metrics, details = classification.make()(predictions(logits, label))
  probability = softmax(logits.astype(np.float64), axis=-1)
  predicted = logits.argmax(-1)
  assert metrics == pytest.approx(
    dict(
      accuracy=reference.accuracy_score(label, predicted),
      top5_accuracy=reference.top_k_accuracy_score(label, logits, k=5),
      loss=reference.log_loss(label, probability),
      mean_class_accuracy=reference.balanced_accuracy_score(label, predicted),
      ece=metrics['ece'],  # has a test of its own
    )
  )
  np.testing.assert_array_equal(details['confusion'], reference.confusion_matrix(label, predicted))
  np.testing.assert_allclose(
    details['class_accuracy'], reference.recall_score(label, predicted, average=None)
  )
  np.testing.assert_array_equal(details['class_count'], np.bincount(label))


def test_calibration_by_hand(example):
  logits, label = example
  result = classification.make(bins=10)(predictions(logits, label))
  confidence = softmax(logits.astype(np.float64), axis=-1).max(-1)
  right = logits.argmax(-1) == label
  error = 0.0
  for i, row in enumerate(rows(result, 'calibration', ('confidence', 'accuracy', 'count'))):
    inside = (confidence > i / 10) & (confidence <= (i + 1) / 10)
    assert row['count'] == inside.sum()
    if inside.any():
      assert row['accuracy'] == pytest.approx(right[inside].mean())
      assert row['confidence'] == pytest.approx(confidence[inside].mean())
      error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    else:
      assert np.isnan(row['accuracy']) and np.isnan(row['confidence'])
  assert result.metrics['ece'] == pytest.approx(error)


def test_perfect_confidence_is_perfectly_calibrated():
  label = np.arange(6) % 3
  result = classification.make()(predictions(1e3 * np.eye(3)[label], label))
  assert result.metrics == dict(accuracy=1, loss=0, ece=0, mean_class_accuracy=1)
  assert len(result.details['mistakes_index']) == 0


def test_mistakes_are_the_surest_ones(example):
  logits, label = example
  result = classification.make()(predictions(logits, label))
  mistakes = rows(result, 'mistakes', ('index', 'label', 'predicted', 'confidence'))
  predicted, probability = logits.argmax(-1), softmax(logits, axis=-1).max(-1)
  assert len(mistakes) == min(64, (predicted != label).sum())
  confidence = result.details['mistakes_confidence']
  assert np.all(np.diff(confidence) <= 0)
  for row in mistakes:
    i = row['index']
    assert row['label'] == label[i] != row['predicted'] == predicted[i]
    assert row['confidence'] == pytest.approx(probability[i], rel=1e-5)
  left_out = np.setdiff1d(np.flatnonzero(predicted != label), result.details['mistakes_index'])
  assert np.all(probability[left_out] <= confidence[-1] + 1e-6)


def test_only_64_mistakes_are_kept():
  label = np.zeros(100, np.int32)
  result = classification.make()(predictions(np.tile([0.0, 1.0], (100, 1)), label))
  assert result.details['mistakes_index'].tolist() == list(range(64))


def test_batches_do_not_matter(example):
  one, other = (classification.make()(predictions(*example, batch)) for batch in (7, 200))
  assert one.metrics == other.metrics
  for name, array in one.details.items():
    assert array.tobytes() == other.details[name].tobytes()


def test_ties_go_to_the_lower_class():
  label = np.array([0, 1, 2, 3, 4, 5])
  result = classification.make()(predictions(np.zeros((6, 6)), label))
  assert result.metrics['accuracy'] == pytest.approx(1 / 6)
  assert result.metrics['top5_accuracy'] == pytest.approx(5 / 6)
  assert result.details['confusion'][:, 0].tolist() == [1] * 6


def test_top_k_needs_more_classes_than_k():
  result = classification.make(top_k=(1, 2, 3))(predictions(np.eye(3), np.arange(3)))
  assert {name for name in result.metrics if name.startswith('top')} == {'top2_accuracy'}


def test_a_class_without_examples_has_no_accuracy():
  label = np.array([0, 0, 2])
  metrics, details = classification.make()(predictions(np.eye(3)[[0, 1, 2]], label))
  np.testing.assert_array_equal(details['class_accuracy'], [0.5, np.nan, 1.0])
  assert metrics['mean_class_accuracy'] == 0.75


@pytest.mark.parametrize('where', [np.s_[2], np.s_[2, 0], np.s_[2, 1]])
def test_nan_is_wrong_and_seen(where):
  label = np.array([0, 1, 0, 1])
  logits = 10 * np.eye(2)[label]
  logits[where] = np.nan
  metrics, details = classification.make()(predictions(logits, label))
  assert np.isnan(metrics['loss']) and np.isnan(metrics['ece'])
  assert metrics['accuracy'] == 0.75
  assert details['mistakes_index'].tolist() == [2]
  assert details['mistakes_predicted'].tolist() == [-1]
  assert details['confusion'].sum() == 3


def test_details_survive_an_npz(example, tmp_path):
  details = classification.make()(predictions(*example)).details
  np.savez(tmp_path / 'details.npz', allow_pickle=False, **details)
  with np.load(tmp_path / 'details.npz') as arrays:
    assert set(arrays) == set(details)


def test_huge_logits_stay_finite():
  label = np.array([0, 1])
  logits = np.array([[3e38, -3e38], [3e38, 0.0]], np.float32)
  metrics = classification.make()(predictions(logits, label)).metrics
  expected = -log_softmax(logits.astype(np.float64), axis=-1)[[0, 1], label].mean()
  assert metrics['loss'] == pytest.approx(expected)


def test_an_empty_split_is_explained():
  with pytest.raises(UserError, match="split 'test' has no examples"):
    classification.make()(predictions(np.zeros((0, 3)), np.zeros(0, np.int32)))


@pytest.mark.parametrize('spec', [dict(bins=0), dict(top_k=(1, 0))])
def test_bad_specs_are_explained(spec):
  with pytest.raises(UserError, match='positive'):
    classification.make(**spec)
