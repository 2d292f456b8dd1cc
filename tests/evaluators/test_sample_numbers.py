"""Distances of sets of features against torch-fidelity and scipy, and where pytorch-fid has guards.

EXPECTED are the numbers of torch-fidelity 0.4.0 (torch 2.13.0, numpy 2.4.6) on float64 tensors of
`sets`, the samples first, with kid_subset_size as said there:

  fid_statistics_to_metric(*map(fid_features_to_statistics, (real, fake)), verbose=False)
  kid_features_to_metric(fake, real, kid_subset_size=size, verbose=False)
  prc_features_to_metric(fake, real, verbose=False)
"""

import numpy as np
import pytest
import scipy.linalg
from sklearn.metrics.pairwise import polynomial_kernel

from vitlab.evaluators import _sample_numbers as numbers
from vitlab.evaluators._sample_numbers import (
  Gaussian,
  frechet_distance,
  kernel_distance,
  precision_recall,
)

# Examples, samples, features, size of a subset -> Fréchet distance, KID, its deviation, precision,
# recall
EXPECTED = {
  (200, 150, 8, 50): (
    1.5461412563344368,
    1.2074769528926521,
    0.7791711313116189,
    0.7333333492279053,
    0.9649999737739563,
  ),
  (30, 30, 64, 1000): (
    655.4029530595667,
    35.272221743495216,
    9.127086697919487e-15,
    0.10000000149011612,
    0.9666666388511658,
  ),
  (60, 40, 16, 40): (
    9.068799831457454,
    0.07302258105504401,
    0.3884082107897776,
    0.550000011920929,
    0.9833333492279053,
  ),
}


def sets(real, fake, d):
  draws = np.random.RandomState(0)  # whose numbers no version of NumPy changes
  mix = draws.randn(d, d)
  return draws.randn(real, d) @ mix * 0.4, (draws.randn(fake, d) + 0.2) @ mix * 0.5


def distance(a, b):
  return frechet_distance(Gaussian.of(a), Gaussian.of(b))


def gaussian(mean, covariance):
  values, vectors = np.linalg.eigh(np.asarray(covariance, float))
  return Gaussian(np.asarray(mean, float), np.sqrt(values.clip(0))[:, None] * vectors.T)


@pytest.mark.parametrize('sizes', EXPECTED, ids=str)
def test_equals_torch_fidelity(sizes):
  real, fake = sets(*sizes[:3])
  kid = kernel_distance(fake, real, size=sizes[3])
  got = distance(real, fake), kid.mean, kid.std, *precision_recall(real, fake)
  # The deviation of subsets that are all the same is what rounding leaves.
  assert got == pytest.approx(EXPECTED[sizes], rel=1e-6, abs=1e-12)


@pytest.mark.parametrize('real, fake, d', [(200, 150, 8), (40, 25, 12)])
def test_frechet_distance_equals_scipy(real, fake, d):
  """The formula as it is printed, with scipy's root of a matrix."""
  a, b = sets(real, fake, d)
  first, second = (np.cov(x, rowvar=False) for x in (a, b))
  root = scipy.linalg.sqrtm(first @ second)
  root = (root[0] if isinstance(root, tuple) else root).real
  shift = np.sum((a.mean(0) - b.mean(0)) ** 2)
  expected = shift + np.trace(first + second - 2 * root)
  assert distance(a, b) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
  ('a', 'b', 'expected'),
  [
    (gaussian([1, 2], np.diag([1, 4])), gaussian([0, 0], np.diag([9, 1])), 10),
    (gaussian([0, 0], np.zeros((2, 2))), gaussian([0, 0], np.eye(2)), 2),
    (gaussian([0, 0], np.diag([1, 0])), gaussian([0, 0], np.diag([0, 1])), 2),
    (gaussian([0, 0], [[1, 1], [1, 1]]), gaussian([0, 0], [[1, -1], [-1, 1]]), 4),
  ],
)
def test_covariances_of_any_rank(a, b, expected):
  """As pytorch-fid 0.3.0, clean-fid 0.1.35 and torch-fidelity 0.4.0 answer, by their guards."""
  assert frechet_distance(a, b) == pytest.approx(expected, abs=1e-12)


def test_fewer_examples_than_features():
  """A set is at distance 0 of itself, where the root of a matrix gives -1e-4; never below it."""
  a, b = sets(10, 10, 512)
  assert 0 <= distance(a, a) < 1e-8
  assert distance(a, a + 1e-9) >= 0
  centred = [x - x.mean(0) for x in (a, b)]
  # Of few examples by their inner products: no covariance, no root.
  shared = np.linalg.norm(centred[0] @ centred[1].T, 'nuc')
  spread = sum(np.sum(x**2) for x in centred)
  expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + (spread - 2 * shared) / 9
  assert distance(a, b) == pytest.approx(expected, rel=1e-12)


def test_covariance_is_the_unbiased_one_and_keeps_its_digits():
  """Also far from zero, where a covariance from sums of squares has none left."""
  a = sets(40, 2, 6)[0]
  root = Gaussian.of(a + 1e6).root
  np.testing.assert_allclose(root.T @ root, np.cov(a, rowvar=False), rtol=1e-8, atol=1e-9)
  assert abs(root.T @ root - np.cov(a, rowvar=False, bias=True)).max() > 1e-2


def test_kid_leaves_out_what_is_compared_with_itself():
  a, b = sets(30, 30, 8)
  kernel = lambda x, y: polynomial_kernel(x, y, degree=3)  # noqa: E731 - gamma 1 / d, coef0 1
  off = ~np.eye(30, dtype=bool)
  unbiased = kernel(a, a)[off].mean() + kernel(b, b)[off].mean() - 2 * kernel(a, b).mean()
  assert kernel_distance(a, b).mean == pytest.approx(unbiased, rel=1e-12)
  biased = kernel(a, a).mean() + kernel(b, b).mean() - 2 * kernel(a, b).mean()
  assert abs(biased - unbiased) > 0.1 * unbiased
  # Its mean over sets of one kind is 0, therefore it is below 0 for many of them.
  same = np.random.RandomState(1).randn(100, 20, 3)
  found = [kernel_distance(x[:10], x[10:]).mean for x in same]
  assert min(found) < 0 and abs(np.mean(found)) < 3 * np.std(found) / 10


@pytest.mark.parametrize(
  ('examples', 'samples', 'said'), [(5, 5, (1, 5)), (5, 9, (100, 5)), (20, 9, (100, 8))]
)
def test_subsets_of_small_sets(examples, samples, said):
  kid = kernel_distance(*sets(examples, samples, 3), size=8)
  assert (kid.subsets, kid.size) == said


def test_precision_and_recall_of_known_points():
  """Reach is that of the point in the set, to its third neighbour but itself, and includes it."""
  real = np.array([[0.0], [1], [2], [3], [94]])  # reach 3, 2, 2, 3, 93
  fake = np.array([[6.0], [7], [-3.5], [200], [201], [203]])  # reach 9.5, 10.5, 10.5, 193, ...
  # 6 and 7 are within the 93 of 94; -3.5 is beyond the 3 of 0; 200 is beyond.
  assert precision_recall(real, fake) == (2 / 6, 1)
  assert precision_recall(real, np.array([[-3.0], [300], [301], [302]])) == (1 / 4, 1)
  assert precision_recall(real, fake, k=1) == (2 / 6, 4 / 5)  # 94 is not within 9.5


def test_equal_points_are_at_distance_zero():
  """Of four equal examples all are reached by an equal sample, and by no other."""
  point = np.random.RandomState(0).randn(1, 64) * 1e3 + 1e5
  real = np.repeat(point, 4, 0)
  fake = np.concatenate([point, point + 1e-2, point - 1, point * 2])
  assert precision_recall(real, fake) == (1 / 4, 1)


def test_chunks_change_nothing_but_rounding(monkeypatch):
  real, fake = sets(61, 47, 7)
  whole = distance(real, fake), precision_recall(real, fake)
  monkeypatch.setattr(numbers, 'CHUNK_BYTES', 8 * 61 * 5)
  assert distance(real, fake) == pytest.approx(whole[0], rel=1e-12)
  assert precision_recall(real, fake) == whole[1]


def test_features_of_float32_are_compared_in_float64():
  a, b = (x.astype(np.float32) for x in sets(60, 40, 16))
  exact = [x.astype(float) for x in (a, b)]
  assert distance(a, b) == pytest.approx(distance(*exact), rel=1e-12)
  assert kernel_distance(a, b, size=30) == kernel_distance(*exact, size=30)
  assert precision_recall(a, b) == precision_recall(*exact)
