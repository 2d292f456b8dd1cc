"""Word vectors that people have, in files of `vitlab.pretrained.word_vectors`.

  'word2vec'  word2vec's own program, gensim and GloVe: one vector a word

They keep no table of what words are predicted by: here it is zero, as before training.
"""

from collections.abc import Mapping
from typing import Any

from vitlab.pretrained.assemble import Format, Part, Shapes, Sides
from vitlab.pretrained.layouts import same

KIND = 'embedding'  # see `vitlab.pretrained.kind`
TENSORS = {'params/source/embedding': 'word_vectors', 'params/target/embedding': 'targets'}


def _part_of(sides: Sides):
  del sides
  return lambda path, shape: Part((TENSORS[path],), same) if path in TENSORS else None


def _spec(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
  del config
  words, width = shapes['word_vectors']
  return dict(name='word2vec', vocab_size=words, width=width)


FORMATS = {'word2vec': Format(_part_of, _spec, sign=r'word_vectors$', preprocessing=None)}
