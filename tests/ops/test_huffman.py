"""The tree of a hierarchical softmax is gensim's, and as short as trees of its counts can be."""

import gensim.models.word2vec as gensim
import numpy as np
from gensim.models import KeyedVectors

from vitlab.ops.huffman import huffman


def test_the_tree_is_that_of_gensim_where_counts_are_equal_too():
  counts = [40, 12, 12, 9, 5, 5, 5, 3, 2, 1, 1, 1, 1]
  vectors = KeyedVectors(2)
  vectors.add_vectors([str(i) for i in range(len(counts))], np.zeros((len(counts), 2)))
  for word, count in enumerate(counts):
    vectors.set_vecattr(str(word), 'count', count)
  gensim._assign_binary_codes(vectors)
  tree = huffman(counts)
  for word in range(len(counts)):
    inside = tree.mask[word]
    assert tree.nodes[word][inside].tolist() == list(vectors.get_vecattr(str(word), 'point'))
    assert tree.codes[word][inside].tolist() == list(vectors.get_vecattr(str(word), 'code'))


def test_no_code_begins_another_and_frequent_words_are_near():
  counts = [2**i for i in range(6, -1, -1)]
  tree = huffman(counts)
  ways = [tuple(tree.codes[w][tree.mask[w]]) for w in range(len(counts))]
  assert not [1 for a in ways for b in ways if a != b and b[: len(a)] == a]
  assert list(map(len, ways)) == [1, 2, 3, 4, 5, 6, 6]


def test_one_word_needs_no_decision_and_none_no_tree():
  assert huffman([3]).mask.shape == (1, 0)
  assert huffman([]).mask.shape == (0, 0)
