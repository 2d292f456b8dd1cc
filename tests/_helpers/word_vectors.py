"""Word vectors with some right answers, here and in gensim."""

import numpy as np
from gensim.models import KeyedVectors

WORDS = [
  *('the', 'athens', 'greece', 'oslo', 'norway', 'Paris', 'france'),
  *('run', 'running', 'walk', 'walking', 'Run', 'x1', 'x2', 'x3'),
]


def _vectors():
  rng = np.random.default_rng(1)
  rows = dict(zip(WORDS, rng.normal(size=(len(WORDS), 5))))
  for a, b in [('athens', 'greece'), ('oslo', 'norway'), ('Paris', 'france')]:
    rows[b] = rows[a] + [3, 0, 0, 0, 0]
  for a, b in [('run', 'running'), ('walk', 'walking')]:
    rows[b] = rows[a] + [0, 2, 0, 0, 0.3]
  rows['Run'] = rows['run'] + 0.01
  return np.stack([rows[word] for word in WORDS]).astype(np.float32)


VECTORS = _vectors()


def in_gensim():
  """The same vectors there."""
  found = KeyedVectors(VECTORS.shape[1])
  found.add_vectors(WORDS, VECTORS)
  return found


def predictions(name, split):
  """What evaluators read."""
  assert (name, split) == ('features', 'words')
  yield VECTORS[:7], {}
  yield VECTORS[7:], {}
