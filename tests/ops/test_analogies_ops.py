"""Near words, as gensim finds them."""

import numpy as np
import pytest
from gensim.models import KeyedVectors

from vitlab.ops.analogies import nearness, unit


@pytest.fixture(scope='module')
def vectors():
  found = KeyedVectors(6)
  rows = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
  found.add_vectors([f'w{i}' for i in range(20)], rows)
  return found


@pytest.mark.parametrize('method', ['add', 'multiply'])
@pytest.mark.parametrize('plus, minus', [([3, 4], [7]), ([5], []), ([1, 2, 3], [4, 5])])
def test_nearness_is_that_of_gensim(vectors, method, plus, minus):
  find = vectors.most_similar if method == 'add' else vectors.most_similar_cosmul
  wanted = find([f'w{i}' for i in plus], [f'w{i}' for i in minus], topn=10)
  rows = [np.array([row], np.int64) for row in (plus, minus)]
  found = nearness(unit(vectors.vectors), *rows, method)[0]
  found[plus + minus] = -np.inf
  best = np.argsort(-found)[:10]
  assert [f'w{i}' for i in best] == [word for word, _ in wanted]
  np.testing.assert_allclose(found[best], [score for _, score in wanted], atol=1e-6)


def test_a_word_without_a_vector_is_near_to_none():
  rows = unit(np.array([[0.0, 0.0], [3.0, 4.0]]))
  assert np.array_equal(rows, [[0, 0], [0.6, 0.8]])
