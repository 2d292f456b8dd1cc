"""The bundled digits: the published images, one fixed split."""

import hashlib

import numpy as np
from sklearn.datasets import load_digits

from vitlab.data.sets import digits


def pairs(images, labels):
  return sorted((image.tobytes(), int(label)) for image, label in zip(images, labels))


def test_images_are_those_of_scikit_learn():
  dataset = digits.make()
  splits = [dataset.splits[name].arrays for name in ('train', 'test')]
  image = np.concatenate([split['image'] for split in splits])
  label = np.concatenate([split['label'] for split in splits])
  published = load_digits()
  scaled = (published.images * 255 // 16).astype(np.uint8)[..., None]
  assert pairs(image, label) == pairs(scaled, published.target)


def test_split_is_fixed_and_stratified():
  dataset = digits.make()
  test = dataset.splits['test'].arrays
  assert [len(dataset.splits[name]) for name in ('train', 'test')] == [1437, 360]
  counts = np.bincount(test['label'])
  assert counts.min() >= 35 and counts.max() <= 37
  assert hashlib.sha256(test['image'].tobytes()).hexdigest()[:16] == 'c6af11beaf8d6665'


def test_facts_describe_the_images():
  dataset = digits.make()
  assert dataset.facts['num_classes'] == 10 == len(dataset.facts['class_names'])
  example = dataset.splits['train'][0]
  assert example['image'].shape == (*dataset.facts['image']['image_size'], 1)
  assert example['image'].dtype == np.uint8 and example['label'].dtype == np.int32
