"""Documents as tokens in a file."""

import pickle

import numpy as np

from vitlab.data.texts import cache, encoded
from vitlab.data.vocabularies import Special, plain

VOCABULARY = plain.Bytes()
PIECES = [('ab', False), ('c', True), ('d', True), ('é', False), ('f', True)]


class Ending(plain.Bytes):
  special = Special(eos=0)


def build(vocabulary, pieces=PIECES):
  def built(folder):
    about = encoded.write(pieces, vocabulary, folder / 'train.tokens')
    return dict(tokenizer=vocabulary.text, splits=dict(train=about))

  return built


def make(key, build, folder):
  return cache.cached(key, build, encoded.opened, folder)


def test_documents_lie_one_after_the_other(tmp_path):
  for vocabulary, between in ((plain.Bytes(), b''), (Ending(), b'\x00')):
    text, splits = make([repr(between)], build(vocabulary), str(tmp_path))
    train = splits['train']
    assert train.tokens.tolist() == list(between.join([b'abc', b'd', 'éf'.encode()]))
    documents = [train.tokens[start:stop].tobytes() for start, stop in train.spans]
    assert [bytes(d[::2]) for d in documents] == [b'abc', b'd', 'éf'.encode()]
    assert (train.documents, train.characters, train.bytes) == (3, 6, 7)
    assert text == vocabulary.text and train.tokens.dtype == np.uint16


def test_large_vocabularies_have_room(tmp_path):
  class Large(plain.Bytes):
    def __len__(self):
      return 2**16 + 1

    def encode(self, texts):
      return [np.array([2**16], np.int32) for _ in texts]

  splits = make(['x'], build(Large(), [('a', True)]), str(tmp_path))[1]
  assert splits['train'].tokens.tolist() == [2**16]


def test_it_travels_as_its_path(tmp_path):
  train = make(['a'], build(VOCABULARY, [('x' * 10**5, True)]), str(tmp_path))[1]['train']
  assert len(train.tokens) == 10**5 and len(pickle.dumps(train)) < 1000
  assert pickle.loads(pickle.dumps(train)).tokens[5] == ord('x')
