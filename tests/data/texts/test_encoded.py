"""A text is encoded once; whoever finds its files finds them whole."""

import concurrent.futures
import pickle
import time

import numpy as np
import pytest

from vitlab.data.texts import encoded
from vitlab.data.vocabularies import Special, plain
from vitlab.errors import UserError

VOCABULARY = plain.Bytes()
PIECES = [('ab', False), ('c', True), ('d', True), ('é', False), ('f', True)]


class Ending(plain.Bytes):
  special = Special(eos=0)


def build(vocabulary, pieces=PIECES, wait=0.0):
  def built(folder):
    about = encoded.write(pieces, vocabulary, folder / 'train.tokens')
    time.sleep(wait)
    return dict(tokenizer=vocabulary.text, splits=dict(train=about))

  return built


def test_documents_lie_one_after_the_other(tmp_path):
  for vocabulary, between in ((plain.Bytes(), b''), (Ending(), b'\x00')):
    text, splits = encoded.cached([repr(between)], build(vocabulary), str(tmp_path))
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

  splits = encoded.cached(['x'], build(Large(), [('a', True)]), str(tmp_path))[1]
  assert splits['train'].tokens.tolist() == [2**16]


def test_it_is_made_once_and_another_key_is_another_text(tmp_path):
  made = []

  def counted(folder):
    made.append(folder)
    return build(VOCABULARY)(folder)

  for key in ('a', 'a', 'b', 'a'):
    encoded.cached([key], counted, str(tmp_path))
  assert len(made) == 2 and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
  'name, damage',
  [
    ('train.tokens', lambda content: content[:-1]),
    ('train.tokens', lambda content: bytes([content[0] ^ 1]) + content[1:]),
    ('train.tokens', None),
    ('train.ends.npy', lambda content: content[:-8]),
    ('train.ends.npy', None),
    ('about.json', lambda content: content[:-9]),
    ('about.json', lambda content: b'[]'),
    ('about.json', None),
  ],
)
def test_what_is_damaged_is_made_anew(tmp_path, caplog, name, damage):
  encoded.cached(['a'], build(VOCABULARY), str(tmp_path))
  (file,) = tmp_path.glob(f'*/{name}')
  if damage:
    file.write_bytes(damage(file.read_bytes()))
  else:
    file.unlink()
  _, splits = encoded.cached(['a'], build(VOCABULARY), str(tmp_path))
  assert bytes(splits['train'].tokens.astype(np.uint8)) == 'abcdéf'.encode()
  assert 'is damaged: the text is encoded anew' in caplog.text
  assert len(list(tmp_path.iterdir())) == 1 and len(splits['train'].spans) == 3


def test_several_may_want_it_at_once(tmp_path):
  def want(_):
    return encoded.cached(['a'], build(VOCABULARY, wait=0.05), str(tmp_path))[1]['train'].tokens[2]

  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    assert list(pool.map(want, range(8))) == [ord('c')] * 8
  assert len(list(tmp_path.iterdir())) == 1


def test_what_fails_leaves_nothing_behind(tmp_path):
  def failing(folder):
    (folder / 'train.tokens').write_bytes(b'x')
    raise UserError('no')

  with pytest.raises(UserError, match='no'):
    encoded.cached(['a'], failing, str(tmp_path))
  assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
  (tmp_path / 'file').write_text('x')
  with pytest.raises(UserError, match='cannot be kept in .*file.*\n.*data.cache'):
    encoded.cached(['a'], build(VOCABULARY), str(tmp_path / 'file'))


def test_it_travels_as_its_path(tmp_path):
  train = encoded.cached(['a'], build(VOCABULARY, [('x' * 10**5, True)]), str(tmp_path))[1]['train']
  assert len(train.tokens) == 10**5 and len(pickle.dumps(train)) < 1000
  assert pickle.loads(pickle.dumps(train)).tokens[5] == ord('x')
