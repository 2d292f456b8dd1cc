"""Nearest neighbours on raw pixels against scikit-learn's, on splits in memory and in files."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from vitlab.data.pictures import ImageError
from vitlab.data.sources import Arrays
from vitlab.evaluators import _raw_pixels as raw


def split(count, seed, noise=40, size=(6, 5)):
  """Three kinds of picture, twice as many of the first as of each other."""
  rng = np.random.default_rng(seed)
  kinds = np.random.default_rng(9).integers(60, 190, (3, *size, 1))
  label = rng.choice(3, count, p=(0.5, 0.25, 0.25)).astype(np.int32)
  image = kinds[label] + rng.normal(0, noise, (count, *size, 1))
  return Arrays(dict(image=np.clip(image, 0, 255).astype(np.uint8), label=label))


class Files:
  """Examples that are read one by one, of which one cannot be."""

  def __init__(self, arrays, broken=3):
    self._arrays, self._broken = arrays, broken

  def __len__(self):
    return len(self._arrays)

  def __getitem__(self, index):
    if index == self._broken:
      raise ImageError('cut short')
    return self._arrays[index]


@pytest.mark.parametrize('noise', [40, 200])
def test_the_class_of_most_of_four_neighbours(noise, monkeypatch):
  monkeypatch.setattr(raw, 'TOGETHER', 7)
  train, test = split(90, 0, noise), split(40, 1, noise)
  found = raw.baselines(train, test)
  flat = {s: s.arrays['image'].reshape(len(s), -1) / 255 for s in (train, test)}
  reference = KNeighborsClassifier(4).fit(flat[train], train.arrays['label'])
  assert found['nearest_neighbours'] == reference.score(flat[test], test.arrays['label'])
  assert found['majority'] == np.mean(test.arrays['label'] == 0)
  assert (found['nearest_neighbours'] > 0.9) == (noise == 40)


def test_of_a_large_split_examples_from_all_of_it(monkeypatch):
  monkeypatch.setattr(raw, 'MOST', 10)
  arrays = split(90, 0).arrays
  by_class = np.argsort(arrays['label'])
  order = Arrays({key: array[by_class] for key, array in arrays.items()})
  pixels, label = raw._read(order, np.inf)
  assert pixels.shape == (10, 30) and set(label) == {0, 1, 2}


def test_fewer_examples_than_neighbours():
  assert set(raw.baselines(split(2, 0), split(5, 1))) == {'nearest_neighbours', 'majority'}


def test_what_lies_in_files_counts_as_what_lies_in_memory():
  train, test = split(60, 0), split(30, 1)
  kept = Arrays({k: np.delete(x, 3, axis=0) for k, x in train.arrays.items()})
  whole = raw.baselines(kept, test)
  assert raw.baselines(Files(train), Files(test, broken=None)) == whole


def test_nothing_where_reading_takes_too_long():
  train, test = split(60, 0), split(30, 1)
  assert raw.baselines(Files(train), test, seconds=0.0) == {}
  assert raw.baselines(train, Files(test), seconds=0.0) == {}


def test_nothing_of_what_is_no_picture_with_a_label():
  words = Arrays(dict(tokens=np.zeros((4, 3), np.int32), label=np.zeros(4, np.int32)))
  alone = Arrays(dict(image=np.zeros((4, 3, 3, 1), np.uint8)))
  assert raw.baselines(words, words) == raw.baselines(split(9, 0), alone) == {}


def test_large_pictures_are_brought_down_to_means():
  image = np.arange(2 * 67 * 47 * 3, dtype=np.uint64).reshape(2, 67, 47, 3) * 7919 % 256
  found = raw.downsized(image.astype(np.uint8))
  assert found.shape == (2, 22 * 15 * 3)  # squares of 3: the smallest that leave so few
  np.testing.assert_allclose(found[1, 1], image[1, :3, :3, 1].mean() / 255, rtol=1e-6)
  np.testing.assert_allclose(found[1, -1], image[1, 63:66, 42:45, 2].mean() / 255, rtol=1e-6)


def test_small_pictures_stay_what_they_are():
  image = split(3, 0).arrays['image']
  np.testing.assert_allclose(raw.downsized(image), image.reshape(3, -1) / 255, rtol=1e-6)
