#!/usr/bin/env bash
# Words lose their first letter between two programs that share a file format.
# One would guess: a binary word2vec file written by gensim is read by the package word2vec,
#   word for word.
# Versions: gensim 4.3.3, word2vec 0.11.1, numpy 1.23.5, scipy 1.10.1 (Python 3.11, the last
#   with wheels of this numpy, for word2vec 0.11.1 needs one below 1.24; its installation builds
#   C programs, so a C compiler must be there).
# Behaviour: gensim writes no newline behind a row of numbers, as the C program does, and
#   word2vec skips one byte behind each row unless told new_lines=False: apple, banana, cherry
#   come back as apple, anana, herry, without an error. (The rows are also scaled to length 1.)
#   gensim reads its own file right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check \
  gensim==4.3.3 word2vec==0.11.1 numpy==1.23.5 scipy==1.10.1

cat > show.py <<'PY'
import warnings

import numpy as np

warnings.simplefilter('ignore')
import gensim.models
import word2vec

vectors = gensim.models.KeyedVectors(2)
vectors.add_vectors(['apple', 'banana', 'cherry'], np.array([[3, 4], [0, 2], [1, 0]], np.float32))
vectors.save_word2vec_format('vectors.bin', binary=True)
own = gensim.models.KeyedVectors.load_word2vec_format('vectors.bin', binary=True)
other = word2vec.load('vectors.bin', kind='bin')
words = [str(word) for word in other.vocab]
told = [str(word) for word in word2vec.load('vectors.bin', kind='bin', new_lines=False).vocab]
print('gensim reads', own.index_to_key, 'word2vec', words, 'with new_lines=False', told)
assert own.index_to_key == told == ['apple', 'banana', 'cherry'], (own.index_to_key, told)
assert words == ['apple', 'anana', 'herry'], words
print('word2vec scales', own.vectors.tolist(), 'to', np.round(other.vectors, 4).tolist())
assert np.allclose(other.vectors, [[0.6, 0.8], [0, 1], [1, 0]]), other.vectors
PY
env/bin/python show.py
echo 'As described: word2vec 0.11.1 drops the first letter of all words but the first in a file of'
echo 'gensim 4.3.3.'
