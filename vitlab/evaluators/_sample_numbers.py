"""How far two sets of features are apart: Fréchet distance, KID, precision and recall; in float64.

Sets are [examples, d]; nothing is ever as large as one set times the other, whatever their sizes.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Set = Float[np.ndarray, '_ d']
CHUNK_BYTES = 64 * 2**20  # of what is computed at a time
SEED = 2020  # of torch-fidelity's subsets
EQUAL = 1e-12  # what is left of a distance of 0, relative to the lengths


class Gaussian(NamedTuple):
  """The normal distribution with the mean and the (unbiased) covariance of a set.

  Attributes:
    mean: Of the features.
    root: R with RᵀR the covariance, of no more rows than there are examples.
  """

  mean: Float[np.ndarray, ' d']
  root: Float[np.ndarray, 'r d']

  @classmethod
  def of(cls, features: Set) -> 'Gaussian':
    """The covariance itself, of squares, is never formed: it would cost half of the digits."""
    mean = features.mean(0, dtype=np.float64)
    root = np.empty((0, features.shape[1]))
    for rows in _chunks(features, features.shape[1]):
      root = np.linalg.qr(np.concatenate([root, rows - mean]), mode='r')
    return cls(mean, root / np.sqrt(len(features) - 1))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
  """|μ - ν|² + tr(A + B - 2 (AB)^½) (Heusel et al. 2017, arXiv:1706.08500, equation 6).

  tr (AB)^½ is the sum of the singular values of R Sᵀ, where A = RᵀR and B = SᵀS: exact and real for
  covariances of any rank, where the root of a matrix needs a guard against both.
  """
  shift = np.sum((a.mean - b.mean) ** 2)
  spread = np.sum(a.root**2) + np.sum(b.root**2)
  shared = np.linalg.svd(a.root @ b.root.T, compute_uv=False).sum()
  return max(float(shift + spread - 2 * shared), 0.0)


class KID(NamedTuple):
  """The mean over subsets and their standard deviation; how many, and of how many examples."""

  mean: float
  std: float
  subsets: int
  size: int


def kernel_distance(a: Set, b: Set, subsets: int = 100, size: int = 1000) -> KID:
  """KID: the unbiased MMD² of the kernel (x·y / d + 1)³ (Bińkowski et al. 2018, arXiv:1801.01401).

  The mean over random subsets, in draws those of torch-fidelity. Of sets that are smaller than a
  subset all examples are taken: where both are, there is but one subset.

  Args:
    a: One set; of torch-fidelity the first.
    b: The other.
    subsets: How many.
    size: Examples of each set in a subset, at most.
  """
  size = min(size, len(a), len(b))
  if len(a) == len(b) == size:
    return KID(_mmd(a, b), 0.0, 1, size)
  draws = np.random.RandomState(SEED)  # torch-fidelity's generator
  drawn = lambda x: x[draws.choice(len(x), size, replace=False)]  # noqa: E731
  found = [_mmd(drawn(a), drawn(b)) for _ in range(subsets)]
  return KID(float(np.mean(found)), float(np.std(found)), subsets, size)


def precision_recall(real: Set, fake: Set, k: int = 3) -> tuple[float, float]:
  """The shares of samples among real examples and of real examples among samples.

  A point is among those of a set if it is as near to one of them as that one's k-th neighbour in
  the set is (Kynkäänniemi et al. 2019, arXiv:1904.06991). Equal points are at distance 0.

  Args:
    real: The real examples.
    fake: The samples.
    k: Which neighbour.
  """
  # Distances are of sums that nearly cancel: the smaller the vectors, the more is left of them.
  centre = real.mean(0, dtype=np.float64)
  real, fake = real - centre, fake - centre
  reach, fake_reach = _reach(real, k), _reach(fake, k)
  precise, recalled, start = 0, np.zeros(len(real), bool), 0
  for rows in _chunks(fake, len(real)):
    distance = _distances(rows, real)
    precise += np.count_nonzero((distance <= reach).any(1))
    recalled |= (distance <= fake_reach[start : start + len(rows), None]).any(0)
    start += len(rows)
  return precise / len(fake), np.count_nonzero(recalled) / len(real)


def _mmd(a: Set, b: Set) -> float:
  a, b, d = a.astype(np.float64), b.astype(np.float64), a.shape[1]
  kernel = lambda x, y: (x @ y.T / d + 1) ** 3  # noqa: E731
  own = 0.0
  for x in (a, b):
    alike = kernel(x, x)
    own += (alike.sum() - np.trace(alike)) / (len(x) * (len(x) - 1))
  return float(own - 2 * kernel(a, b).mean())


def _reach(features: Set, k: int) -> Float[np.ndarray, ' n']:
  """The squared distance of every point's k-th neighbour; the point itself is number 0."""
  chunks = _chunks(features, len(features))
  nearest = [np.partition(_distances(rows, features), k, axis=1)[:, k] for rows in chunks]
  return np.concatenate(nearest)


def _distances(a: Set, b: Set) -> Float[np.ndarray, 'n m']:
  """Squared; 0 of equal points, of which rounding would leave something."""
  lengths = np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1)
  distance = lengths - 2 * (a @ b.T)
  return np.where(distance > EQUAL * lengths, distance, 0.0)


def _chunks(features: Set, columns: int) -> Iterator[Set]:
  """Rows, so many at a time that a float64 matrix with these columns fits."""
  rows = max(1, CHUNK_BYTES // (8 * columns))
  for start in range(0, len(features), rows):
    yield features[start : start + rows]
