"""The linear probe: its optimum, its choice, and what it must not be fooled by."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.datasets import load_digits

from vitlab.errors import UserError
from vitlab.evaluators import linear_probe


def predictions(splits, batch=64):
  def run(name, split):
    assert name == 'features'
    features, label = splits[split]
    for i in range(0, len(label), batch):
      yield features[i : i + batch], {'label': label[i : i + batch]}

  return run


@pytest.fixture
def splits():
  rng = np.random.default_rng(0)
  centres = 1.5 * rng.normal(size=(3, 4))

  def sample(size):
    label = np.arange(size) % 3
    return (centres[label] + rng.normal(size=(size, 4))).astype(np.float32), label

  return dict(train=sample(120), test=sample(60))


def test_digits_are_nearly_linear():
  features, label = load_digits(return_X_y=True)
  data = dict(train=(features[:1400], label[:1400]), test=(features[1400:], label[1400:]))
  metrics = linear_probe.make(l2=(1e-2,))(predictions(data)).metrics
  assert metrics['accuracy'] > 0.9
  assert metrics['train_accuracy'] > 0.98


@pytest.mark.parametrize('l2', [1e-2, 1.0])
def test_the_fit_minimises_the_documented_loss(splits, l2):
  features, label = splits['train']
  features = (features - features.mean(0)) / features.std(0)
  probe = linear_probe._fit(features, label, l2, 1000)
  error = softmax(probe.decision_function(features), axis=1) - np.eye(3)[label]
  gradient = error.T @ features / len(label) + l2 * probe.coef_
  assert np.abs(gradient).max() < 1e-3
  assert np.abs(error.mean(0)).max() < 1e-3  # the intercept is not regularised


def test_the_strength_is_chosen_without_the_test_split(splits):
  rng = np.random.default_rng(1)
  noise = {name: np.hstack([x, rng.normal(size=(len(x), 60))]) for name, (x, _) in splits.items()}
  noisy = {name: (noise[name], splits[name][1]) for name in splits}
  strengths = (1e-6, 1e-1)
  chosen = linear_probe.make(l2=strengths)(predictions(noisy)).metrics
  single = {l2: linear_probe.make(l2=(l2,))(predictions(noisy)).metrics for l2 in strengths}
  assert chosen == single[chosen['l2']]
  noisy['test'] = (noisy['test'][0], (noisy['test'][1] + 1) % 3)
  assert linear_probe.make(l2=strengths)(predictions(noisy)).metrics['l2'] == chosen['l2']
  assert chosen['l2'] == 1e-1


def test_scale_and_constant_features_do_not_matter(splits):
  def changed(features):
    scaled = features * np.array([1e-4, 1.0, 1e4, 10.0]) + 7
    return np.hstack([scaled, np.full((len(features), 1), 0.1)])

  other = {name: (changed(x), label) for name, (x, label) in splits.items()}
  # constant in training only
  other['test'][0][:, -1] = 1e6
  one, two = (linear_probe.make(l2=(0.01,))(predictions(x)).metrics for x in (splits, other))
  assert one == pytest.approx(two, abs=1e-3)


def test_features_that_are_not_finite_are_explained(splits):
  splits['test'][0][3, 1] = np.nan
  with pytest.raises(UserError, match="features of the split 'test' are not all finite"):
    linear_probe.make()(predictions(splits))


def test_one_class_is_explained(splits):
  splits['train'] = (splits['train'][0], np.zeros(120, int))
  with pytest.raises(UserError, match='needs examples of two classes'):
    linear_probe.make()(predictions(splits))


def test_an_empty_split_is_explained(splits):
  splits['train'] = (np.zeros((0, 4)), np.zeros(0, int))
  with pytest.raises(UserError, match="split 'train' has no examples"):
    linear_probe.make()(predictions(splits))


@pytest.mark.parametrize('spec', [dict(l2=()), dict(l2=(0.1, 0.0))])
def test_bad_specs_are_explained(spec):
  with pytest.raises(UserError, match='positive'):
    linear_probe.make(**spec)
