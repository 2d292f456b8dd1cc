"""What lies between two samples begins and ends with them."""

import numpy as np
from _helpers import gans

from vitlab.report.gan import between


def test_between_two_noises_lies_a_way_from_sample_to_another():
  for row, line in enumerate(between.noises(gans.shared(), 4, 9)):
    assert line.images.shape == (9, 8, 8, 3)
    np.testing.assert_array_equal(line.images[0], gans.sample(row, 2 * row))
    np.testing.assert_array_equal(line.images[-1], gans.sample(row, 2 * row + 1))


def test_between_two_classes_lies_a_way_from_sample_to_another():
  lines = between.classes(gans.shared(), 4, 5)
  assert [line.what for line in lines] == ['cat → dog', 'sea / sand → 1']
  for row, line in enumerate(lines):
    for place, label in ((0, 2 * row), (-1, 2 * row + 1)):
      near = np.abs(line.images[place].astype(int) - gans.sample(label, row))
      assert near.max() <= 1  # another program: a level of 255 may round the other way
    moved = np.abs(np.diff(line.images.astype(int), axis=0)).sum((1, 2, 3))
    assert (moved > 0).all()


def test_noise_on_the_way_is_as_long_as_noise_is():
  first, second = np.random.default_rng(0).normal(size=(2, 100))
  line = between._arc(first, second, 5)
  np.testing.assert_allclose(line[[0, -1]], [first, second])
  lengths = np.linalg.norm(line, axis=1)
  np.testing.assert_allclose(np.diff(lengths), np.full(4, np.diff(lengths).mean()))
  turned = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(line, line[1:])]
  np.testing.assert_allclose(turned, turned[0])
  np.testing.assert_allclose(between._arc(first, first, 3), [first] * 3)
