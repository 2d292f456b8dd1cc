"""A Huffman tree over words: the classes of a hierarchical softmax (Mikolov et al. 2013)."""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int


class Tree(NamedTuple):
  """The way from the root to every word: frequent words are near, as in arXiv:1310.4546.

  Attributes:
    nodes: Inner nodes on the way, the root first; the tree has one less than words.
    codes: Which way each of them is left, 0 or 1.
    mask: Where there is a node; behind it, the way has ended.
  """

  nodes: Int[np.ndarray, 'words depth']
  codes: Int[np.ndarray, 'words depth']
  mask: Bool[np.ndarray, 'words depth']


class _Node(NamedTuple):
  count: int
  number: int  # a word, or the number of words plus an inner node

  def __lt__(self, other: '_Node') -> bool:
    return self.count < other.count  # and by nothing else: equal counts are taken as gensim does


def huffman(counts: Sequence[int]) -> Tree:
  """The tree of these counts, that of gensim to the node: the two rarest are joined until one is.

  Args:
    counts: How often each word occurs.
  """
  heap = [_Node(int(count), word) for word, count in enumerate(counts)]
  words, children = len(heap), []
  heapq.heapify(heap)
  while len(heap) > 1:
    pair = heapq.heappop(heap), heapq.heappop(heap)
    heapq.heappush(heap, _Node(sum(node.count for node in pair), words + len(children)))
    children.append([node.number for node in pair])
  ways = {heap[0].number: ()} if heap else {}
  for node in reversed(range(len(children))):  # a parent is made after its children
    way = ways.pop(words + node)
    ways |= {child: (*way, (node, code)) for code, child in enumerate(children[node])}
  depth = max(map(len, ways.values()), default=0)
  tree = Tree(*(np.zeros((words, depth), dtype) for dtype in (np.int32, np.int32, np.bool_)))
  for word, way in ways.items():
    for place, (node, code) in enumerate(way):
      tree.nodes[word, place], tree.codes[word, place] = node, code
    tree.mask[word, : len(way)] = True
  return tree
