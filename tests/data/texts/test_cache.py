"""What is kept is made once; whoever finds it finds it whole."""

import concurrent.futures
import time

import numpy as np
import pytest

from vitlab.data.texts import cache, encoded
from vitlab.data.vocabularies import plain
from vitlab.errors import UserError

PIECES = [('ab', False), ('c', True), ('d', True), ('é', False), ('f', True)]
VOCABULARY = plain.Bytes()


def build(vocabulary, wait=0.0):
  def built(folder):
    about = encoded.write(PIECES, vocabulary, folder / 'train.tokens')
    time.sleep(wait)
    return dict(tokenizer=vocabulary.text, splits=dict(train=about))

  return built


def make(key, build, folder):
  return cache.cached(key, build, encoded.opened, folder)


def test_it_is_made_once_and_another_key_is_another_text(tmp_path):
  made = []

  def counted(folder):
    made.append(folder)
    return build(VOCABULARY)(folder)

  for key in ('a', 'a', 'b', 'a'):
    make([key], counted, str(tmp_path))
  assert len(made) == 2 and len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_has_become_large_is_named_when_it_grows(tmp_path, caplog, monkeypatch):
  size = lambda: sum(path.stat().st_size for path in tmp_path.glob('*/*'))  # noqa: E731
  make(['a'], build(VOCABULARY), str(tmp_path))
  assert not caplog.records
  monkeypatch.setattr(cache, '_LARGE', size())
  make(['a'], build(VOCABULARY), str(tmp_path))
  assert not caplog.records
  make(['b'], build(VOCABULARY), str(tmp_path))
  (record,) = caplog.records
  assert record.message.startswith(f'{tmp_path} holds {size() / 1e9:.1f} GB of encoded texts')


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
  make(['a'], build(VOCABULARY), str(tmp_path))
  (file,) = tmp_path.glob(f'*/{name}')
  if damage:
    file.write_bytes(damage(file.read_bytes()))
  else:
    file.unlink()
  _, splits = make(['a'], build(VOCABULARY), str(tmp_path))
  assert bytes(splits['train'].tokens.astype(np.uint8)) == 'abcdéf'.encode()
  assert 'is damaged: the text is encoded anew' in caplog.text
  assert len(list(tmp_path.iterdir())) == 1 and len(splits['train'].spans) == 3


def test_several_may_want_it_at_once(tmp_path):
  def want(_):
    return make(['a'], build(VOCABULARY, wait=0.05), str(tmp_path))[1]['train'].tokens[2]

  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    assert list(pool.map(want, range(8))) == [ord('c')] * 8
  assert len(list(tmp_path.iterdir())) == 1


def test_what_fails_leaves_nothing_behind(tmp_path):
  def failing(folder):
    (folder / 'train.tokens').write_bytes(b'x')
    raise UserError('no')

  with pytest.raises(UserError, match='no'):
    make(['a'], failing, str(tmp_path))
  assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
  (tmp_path / 'file').write_text('x')
  with pytest.raises(UserError, match='cannot be kept in .*file.*\n.*data.cache'):
    make(['a'], build(VOCABULARY), str(tmp_path / 'file'))
