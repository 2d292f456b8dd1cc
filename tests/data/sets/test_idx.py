"""IDX files: a round trip through the published format, and what is wrong with a file."""

import gzip
import struct

import numpy as np
import pytest
from _helpers.pictures import noise
from _helpers.small_set import IMAGES, LABELS, assert_holds

from vitlab.data.sets import idx
from vitlab.errors import UserError


def idx_bytes(array):
  return (
    bytes([0, 0, 8, array.ndim]) + struct.pack(f'>{array.ndim}i', *array.shape) + array.tobytes()
  )


def write_idx(folder, changes=(), compress=True, test='t10k', images='-images-idx3-ubyte'):
  """The four files; `changes` replaces (split, kind) by other bytes or None for no file."""
  folder.mkdir(exist_ok=True)
  for split, prefix in (('train', 'train'), ('test', test)):
    for kind, array in (('images', IMAGES[split]), ('labels', LABELS[split].astype(np.uint8))):
      content = dict(changes).get((split, kind), idx_bytes(array))
      name = prefix + (images if kind == 'images' else '-labels-idx1-ubyte')
      if content is not None:
        path = folder / (name + '.gz' * compress)
        path.write_bytes(gzip.compress(content) if compress else content)
  return str(folder)


@pytest.mark.parametrize('compress', [True, False])
@pytest.mark.parametrize('names', [{}, dict(test='test', images='-images.idx3-ubyte')])
def test_round_trip(tmp_path, compress, names):
  assert_holds(idx.make(write_idx(tmp_path, compress=compress, **names)))


def test_files_of_macos_beside_them(tmp_path):
  path = write_idx(tmp_path)
  (tmp_path / '._train-images-idx3-ubyte').write_bytes(b'rubbish')
  assert_holds(idx.make(path))


GOOD = idx_bytes(IMAGES['train'])


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    ({('train', 'images'): None}, r'expected one file \*train\*images\*ubyte\[.gz\], found none'),
    ({('test', 'labels'): None}, r'expected one file \*t10k\*labels'),
    ({('train', 'images'): GOOD[:-1]}, r'is damaged: \d+ bytes do not hold \[20, 6, 5\]'),
    ({('train', 'images'): GOOD + b'x'}, 'is damaged'),
    ({('train', 'images'): GOOD[:9]}, 'is damaged'),
    ({('train', 'images'): b''}, 'not an IDX file'),
    ({('train', 'images'): b'\x89PNG rubbish'}, 'not an IDX file of uint8: it starts with 89 50'),
    ({('train', 'images'): bytes([0, 0, 13, 3]) + GOOD[4:]}, 'not an IDX file of uint8'),
    ({('train', 'labels'): idx_bytes(np.zeros(19, np.uint8))}, r'uint8\[19\] for 20 images'),
    ({('train', 'labels'): GOOD}, r'uint8\[20, 6, 5\] for 20 images'),
    ({('train', 'images'): idx_bytes(np.zeros(20, np.uint8))}, r'images of shape \[20\]'),
    ({('test', 'labels'): idx_bytes(np.full(7, 4, np.uint8))}, "7 labels of split 'test'.*is 4"),
    ({('test', 'images'): idx_bytes(noise(7, 5, 5))}, 'different sizes'),
    (
      {('train', 'labels'): idx_bytes(np.full(20, 2, np.uint8))},
      '2 of 3 classes have no training example, the first is 0',
    ),
  ],
)
def test_refuses(tmp_path, changes, words):
  with pytest.raises(UserError, match=words) as caught:
    idx.make(write_idx(tmp_path, changes))
  assert str(caught.value).count('\n') < 3 and str(tmp_path) in str(caught.value)


def test_refuses_a_gzip_cut_short(tmp_path):
  write_idx(tmp_path)
  path = tmp_path / 'train-images-idx3-ubyte.gz'
  path.write_bytes(path.read_bytes()[:-20])
  with pytest.raises(UserError, match='train-images-idx3-ubyte.gz cannot be read'):
    idx.make(str(tmp_path))


def test_refuses_two_sets_in_one_folder(tmp_path):
  write_idx(tmp_path)
  (tmp_path / 'emnist-train-images-idx3-ubyte.gz').write_bytes(b'')
  with pytest.raises(UserError, match='found emnist-train-images.*train-images'):
    idx.make(str(tmp_path))


def test_takes_a_raw_file_beside_its_gzip(tmp_path):
  write_idx(tmp_path, compress=True)
  assert_holds(idx.make(write_idx(tmp_path, compress=False)))


def test_refuses_a_missing_folder(tmp_path):
  with pytest.raises(UserError, match='is not a folder'):
    idx.make(str(tmp_path / 'gone'))
