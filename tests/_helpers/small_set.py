"""The same small data set in memory, for tests of the formats that it is stored in."""

import numpy as np
from _helpers.pictures import noise

IMAGES = dict(train=noise(20, 6, 5), test=noise(7, 6, 5, seed=1))
LABELS = dict(train=np.arange(20) % 4, test=np.arange(7) % 3)


def assert_holds(dataset):
  """It is the small data set, unchanged, with the facts that a model needs."""
  for split, source in dataset.splits.items():
    np.testing.assert_array_equal(source.arrays['image'], IMAGES[split][..., None])
    np.testing.assert_array_equal(source.arrays['label'], LABELS[split])
    assert source.arrays['label'].dtype == np.int32
  assert set(dataset.splits) == {'train', 'test'}
  assert dataset.facts == dict(
    num_classes=4,
    class_names=['0', '1', '2', '3'],
    image=dict(image_size=(6, 5), channels=1, resize='squash'),
  )
