"""Nearest neighbours against scikit-learn's, which sort all distances."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from vitlab.errors import UserError
from vitlab.evaluators import nearest_neighbours


def predictions(splits, batch=7):
  def run(name, split):
    assert name == 'features'
    features, label = splits[split]
    for i in range(0, len(label), batch):
      yield features[i : i + batch], {'label': label[i : i + batch]}

  return run


@pytest.fixture
def splits():
  rng = np.random.default_rng(0)
  centres = rng.normal(size=(8, 5))

  def sample(size):
    label = rng.integers(0, 8, size)
    features = (centres[label] + rng.normal(size=(size, 5))) * rng.uniform(0.1, 10, (size, 1))
    return features.astype(np.float32), label

  return dict(train=sample(150), test=sample(60))


@pytest.mark.parametrize('k, temperature', [(1, 0.07), (5, 0.07), (20, 0.5), (1000, 0.07)])
def test_votes_equal_scikit_learn(splits, k, temperature, monkeypatch):
  monkeypatch.setattr(nearest_neighbours, 'CHUNK_BYTES', 4 * 150 * 8)  # chunks of 8 rows
  evaluate = nearest_neighbours.make(k=k, temperature=temperature)
  metrics, details = evaluate(predictions(splits))
  reference = KNeighborsClassifier(
    min(k, 150),
    metric='cosine',
    algorithm='brute',
    weights=lambda distance: np.exp((1 - distance) / temperature),
  ).fit(*splits['train'])
  features, label = splits['test']
  probability = reference.predict_proba(features)
  best = np.argsort(-probability, axis=1, kind='stable')
  assert metrics == pytest.approx(
    dict(
      accuracy=(best[:, 0] == label).mean(),
      top5_accuracy=(best[:, :5] == label[:, None]).any(1).mean(),
    )
  )
  assert not details


def test_no_temperature_overflows(splits):
  cold = nearest_neighbours.make(k=5, temperature=1e-3)(predictions(splits)).metrics
  one = nearest_neighbours.make(k=1)(predictions(splits)).metrics
  assert cold['accuracy'] == pytest.approx(one['accuracy'], abs=0.02)


def test_the_scale_of_features_does_not_matter(splits):
  scaled = {name: (1e4 * features, label) for name, (features, label) in splits.items()}
  evaluate = nearest_neighbours.make()
  assert evaluate(predictions(scaled)).metrics == evaluate(predictions(splits)).metrics


def test_few_classes_have_no_top5(splits):
  few = {name: (features, label % 3) for name, (features, label) in splits.items()}
  assert set(nearest_neighbours.make()(predictions(few)).metrics) == {'accuracy'}


def test_training_examples_find_themselves(splits):
  evaluate = nearest_neighbours.make(split='train', k=1)
  assert evaluate(predictions(splits)).metrics['accuracy'] == 1


def test_nan_counts_as_wrong(splits):
  features, label = splits['train']
  broken = features.copy()
  broken[0] = np.nan
  evaluate = nearest_neighbours.make(k=1)
  metrics = evaluate(predictions(dict(train=(features, label), test=(broken, label)))).metrics
  assert metrics['accuracy'] == pytest.approx(149 / 150)


def test_an_empty_split_is_explained(splits):
  splits['test'] = (np.zeros((0, 5), np.float32), np.zeros(0, int))
  with pytest.raises(UserError, match="split 'test' has no examples"):
    nearest_neighbours.make()(predictions(splits))


@pytest.mark.parametrize('spec', [dict(k=0), dict(temperature=0.0)])
def test_bad_specs_are_explained(spec):
  with pytest.raises(UserError, match='positive'):
    nearest_neighbours.make(**spec)
