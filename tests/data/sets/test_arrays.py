"""One .npz: a round trip, and what is wrong with a file."""

import itertools

import numpy as np
import pytest
from _helpers.pictures import noise
from _helpers.small_set import IMAGES, LABELS, assert_holds

from vitlab.data import pipeline
from vitlab.data.sets import arrays
from vitlab.errors import UserError


def write_npz(path, **changes):
  pairs = itertools.product(('train', 'test'), (('image', IMAGES), ('label', LABELS)))
  content = {f'{split}_{key}': values[split] for split, (key, values) in pairs} | changes
  np.savez(path, **{key: value for key, value in content.items() if value is not None})
  return str(path)


def test_round_trip(tmp_path):
  assert_holds(arrays.make(write_npz(tmp_path / 'a.npz')))


def test_take_colours_more_splits_and_names(tmp_path):
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
  batches = pipeline.train_batches(source, batch_size=6, seed=0)
  rows = {image.tobytes(): label for image, label in zip(IMAGES['train'], LABELS['train'])}
  for batch in itertools.islice(batches, 5):
    assert [rows[image.tobytes()] for image in batch['image']] == batch['label'].tolist()
  batches.close()


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
def test_refuses(tmp_path, changes, words):
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
def test_refuses_classes(tmp_path, keywords, words):
  with pytest.raises(UserError, match=words):
    arrays.make(write_npz(tmp_path / 'a.npz'), **keywords)


@pytest.mark.parametrize('content', [None, b'', b'rubbish', b'PK\x03\x04rubbish'])
def test_refuses_other_files(tmp_path, content):
  path = tmp_path / 'a.npz'
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(UserError, match='does not exist|cannot be read as an .npz'):
    arrays.make(str(path))


def test_refuses_a_single_array(tmp_path):
  np.save(tmp_path / 'a.npy', IMAGES['train'])
  with pytest.raises(UserError, match='single array'):
    arrays.make(str(tmp_path / 'a.npy'))
