"""idx and arrays: round trips through the published formats, and what is wrong with a file."""

import gzip
import itertools
import struct

import numpy as np
import pytest
from _helpers.pictures import noise

from vitlab.data import Dataset, _pipeline, arrays, idx
from vitlab.errors import UserError

IMAGES = dict(train=noise(20, 6, 5), test=noise(7, 6, 5, seed=1))
LABELS = dict(train=np.arange(20) % 4, test=np.arange(7) % 3)


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


def write_npz(path, **changes):
  pairs = itertools.product(('train', 'test'), (('image', IMAGES), ('label', LABELS)))
  content = {f'{split}_{key}': values[split] for split, (key, values) in pairs} | changes
  np.savez(path, **{key: value for key, value in content.items() if value is not None})
  return str(path)


def assert_holds(dataset: Dataset):
  for split, source in dataset.splits.items():
    np.testing.assert_array_equal(source.arrays['image'], IMAGES[split][..., None])
    np.testing.assert_array_equal(source.arrays['label'], LABELS[split])
    assert source.arrays['label'].dtype == np.int32
  assert set(dataset.splits) == {'train', 'test'}
  assert dataset.facts == dict(
    num_classes=4,
    class_names=['0', '1', '2', '3'],
    image=dict(image_size=(6, 5), channels=1, resize='squash'),
  )


@pytest.mark.parametrize('compress', [True, False])
@pytest.mark.parametrize('names', [{}, dict(test='test', images='-images.idx3-ubyte')])
def test_idx_round_trip(tmp_path, compress, names):
  assert_holds(idx.make(write_idx(tmp_path, compress=compress, **names)))


def test_arrays_round_trip(tmp_path):
  assert_holds(arrays.make(write_npz(tmp_path / 'a.npz')))


def test_arrays_take_colours_more_splits_and_names(tmp_path):
  colours = {f'{split}_image': noise(9, 6, 5, 3) for split in ('train', 'val', 'test')}
  labels = {
    f'{split}_label': np.arange(9, dtype=np.uint8) % 2 for split in ('train', 'val', 'test')
  }
  path = write_npz(tmp_path / 'a.npz', **colours, **labels)
  dataset = arrays.make(path, class_names=('cat', 'dog'))
  assert set(dataset.splits) == {'train', 'val', 'test'}
  assert dataset.facts['class_names'] == ['cat', 'dog'] and dataset.facts['num_classes'] == 2
  assert dataset.facts['image']['channels'] == 3


def test_batches_hold_the_same_rows(tmp_path):
  source = arrays.make(write_npz(tmp_path / 'a.npz')).splits['train']
  batches = _pipeline.train_batches(source, batch_size=6, seed=0)
  rows = {image.tobytes(): label for image, label in zip(IMAGES['train'], LABELS['train'])}
  for batch in itertools.islice(batches, 5):
    assert [rows[image.tobytes()] for image in batch['image']] == batch['label'].tolist()
  batches.close()


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
def test_idx_refuses(tmp_path, changes, words):
  with pytest.raises(UserError, match=words) as caught:
    idx.make(write_idx(tmp_path, changes))
  assert str(caught.value).count('\n') < 3 and str(tmp_path) in str(caught.value)


def test_idx_refuses_a_gzip_cut_short(tmp_path):
  write_idx(tmp_path)
  path = tmp_path / 'train-images-idx3-ubyte.gz'
  path.write_bytes(path.read_bytes()[:-20])
  with pytest.raises(UserError, match='train-images-idx3-ubyte.gz cannot be read'):
    idx.make(str(tmp_path))


def test_idx_refuses_two_sets_in_one_folder(tmp_path):
  write_idx(tmp_path)
  (tmp_path / 'emnist-train-images-idx3-ubyte.gz').write_bytes(b'')
  with pytest.raises(UserError, match='found emnist-train-images.*train-images'):
    idx.make(str(tmp_path))


def test_idx_takes_a_raw_file_beside_its_gzip(tmp_path):
  write_idx(tmp_path, compress=True)
  assert_holds(idx.make(write_idx(tmp_path, compress=False)))


def test_idx_refuses_a_missing_folder(tmp_path):
  with pytest.raises(UserError, match='is not a folder'):
    idx.make(str(tmp_path / 'gone'))


RAGGED = np.array([np.zeros(2), np.zeros(3)], dtype=object)


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    (dict(test_label=None), 'lacks test_label; it has train_image'),
    (dict(train_image=None, train_label=None), 'lacks train_image, train_label'),
    (dict(train_image=RAGGED), 'plain arrays: .*\nragged'),
    (dict(train_image=IMAGES['train'] / 255), r'train.* images of float64\nexpected uint8'),
    (dict(train_image=np.full((20, 6, 5), np.nan)), 'images of float64'),
    (dict(train_image=noise(20, 6, 5, 4)), r'images of shape \[20, 6, 5, 4\]'),
    (dict(train_label=np.arange(20.0)), r'labels float64\[20\]'),
    (dict(train_label=np.eye(20, dtype=int)), r'labels int64\[20, 20\] for 20'),
    (
      dict(test_label=np.array([0, 1, 2, -1, 0, 1, -1])),
      "2 labels of split 'test'.*is -1 at example 3",
    ),
    (dict(test_image=IMAGES['test'][:0], test_label=LABELS['test'][:0]), "'test' is empty"),
  ],
)
def test_arrays_refuses(tmp_path, changes, words):
  with pytest.raises(UserError, match=words) as caught:
    arrays.make(write_npz(tmp_path / 'a.npz', **changes))
  assert str(caught.value).count('\n') < 3


@pytest.mark.parametrize(
  ('keywords', 'words'),
  [
    (dict(num_classes=3), r'out of range, the first is 3 at example 3\npossible are 0 to 2'),
    (dict(num_classes=6), '2 of 6 classes have no training example, the first is 4'),
    (dict(class_names=['a', 'b', 'c']), 'out of range'),
    (dict(class_names=['a'], num_classes=4), '1 class_names for 4 classes'),
  ],
)
def test_arrays_refuses_classes(tmp_path, keywords, words):
  with pytest.raises(UserError, match=words):
    arrays.make(write_npz(tmp_path / 'a.npz'), **keywords)


@pytest.mark.parametrize('content', [None, b'', b'rubbish', b'PK\x03\x04rubbish'])
def test_arrays_refuses_other_files(tmp_path, content):
  path = tmp_path / 'a.npz'
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(UserError, match='does not exist|cannot be read as an .npz'):
    arrays.make(str(path))


def test_arrays_refuses_a_single_array(tmp_path):
  np.save(tmp_path / 'a.npy', IMAGES['train'])
  with pytest.raises(UserError, match='single array'):
    arrays.make(str(tmp_path / 'a.npy'))
