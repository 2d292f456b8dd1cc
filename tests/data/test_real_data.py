"""Published files, read as they are published."""

import numpy as np
import pytest
from _helpers.real_data import ROOT

from vitlab.data import pipeline, splits
from vitlab.data.sets import folder, idx

pytestmark = pytest.mark.data


def test_fashion_mnist():
  dataset = idx.make(str(ROOT / 'fashion_mnist'))
  assert {split: len(source) for split, source in dataset.splits.items()} == dict(
    train=60000, test=10000
  )
  train = dataset.splits['train'].arrays
  # The authors' statistics of the training images.
  assert abs(train['image'].mean() / 255 - 0.2860) < 1e-4
  assert abs(train['image'].std() / 255 - 0.3530) < 1e-4
  np.testing.assert_array_equal(np.bincount(train['label']), [6000] * 10)
  assert train['label'][:5].tolist() == [9, 0, 0, 3, 0]


def test_cifar10_straight_out_of_a_compressed_tar():
  dataset = folder.make(str(ROOT / 'cifar10_jpg' / 'cifar10_jpg.tar.gz'), image_size=32)
  assert {split: len(source) for split, source in dataset.splits.items()} == dict(
    train=50000, test=10000
  )
  assert dataset.facts['class_names'][0] == 'airplane' and dataset.facts['num_classes'] == 10
  source = splits.select(dataset, 'train[:2%]')
  batches = list(pipeline.eval_batches(source, batch_size=250))
  labels = np.concatenate([batch['label'] for batch in batches])
  np.testing.assert_array_equal(np.bincount(labels), [100] * 10)
  assert all(batch['mask'].all() for batch in batches)
  images = np.concatenate([batch['image'] for batch in batches])
  # The mean of the whole training set, as published with the original files.
  np.testing.assert_allclose(images.mean((0, 1, 2)) / 255, [0.491, 0.482, 0.447], atol=0.02)


def test_clothing_straight_out_of_a_tar():
  dataset = folder.make(str(ROOT / 'clothing_small' / 'clothing_small.tar'), image_size=(48, 64))
  assert {split: len(source) for split, source in dataset.splits.items()} == dict(
    train=800, test=372
  )
  assert dataset.facts['class_names'][-1] == 't-shirt'
  batch = next(pipeline.eval_batches(dataset.splits['test'], batch_size=40))
  assert batch['image'].shape == (40, 48, 64, 3) and batch['mask'].all()
