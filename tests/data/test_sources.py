"""The kinds of split: rows of arrays, pictures decoded on demand, pieces of both."""

import numpy as np
import pytest
from _helpers.pictures import encoded, noise

from vitlab.data.pictures import ImageError
from vitlab.data.sources import Arrays, Pictures, Selection, describe, labelled_arrays
from vitlab.errors import UserError

FILES = [encoded(noise(4, 3, 3, seed=i)) for i in range(5)] + [b'rubbish']


def name(number):
  return f'file {number}'


def pictures():
  return Pictures(
    FILES.__getitem__, name, np.array([5, 2, 0]), np.array([7, 8, 9]), dict(image_size=(4, 3))
  )


def test_pictures_are_decoded_when_asked_for():
  source = pictures()
  example = source[1]
  np.testing.assert_array_equal(example['image'], noise(4, 3, 3, seed=2))
  assert (len(source), example['label'], example['label'].dtype) == (3, 8, np.int32)
  with pytest.raises(ImageError):
    source[0]
  assert describe(source, 0) == 'file 5'


def test_arrays_give_rows():
  source = Arrays(dict(image=noise(6, 4, 3, 1), label=np.arange(6)))
  assert len(source) == 6 and source[4]['label'] == 4
  assert describe(source, 4) == 'example 4'


def test_selections_join_pieces():
  rows = Arrays(dict(image=noise(6, 4, 3, 3), label=np.arange(6)))
  source = Selection([(rows, 2, 4), (pictures(), 1, 3), (rows, 0, 1)])
  assert [int(source[i]['label']) for i in range(len(source))] == [2, 3, 8, 9, 0]
  assert [describe(source, i) for i in (1, 2, 4)] == ['example 3', 'file 2', 'example 0']


IMAGES, LABELS = noise(6, 4, 3), np.arange(6) % 3


@pytest.mark.parametrize('dtype', [np.uint8, np.int64, np.int16])
def test_labels_of_any_integer_type(dtype):
  dataset = labelled_arrays(dict(train=(IMAGES, LABELS.astype(dtype))), None, None, 'here')
  assert dataset.splits['train'].arrays['label'].dtype == np.int32
  assert dataset.facts['num_classes'] == 3


@pytest.mark.parametrize(
  ('images', 'labels', 'words'),
  [
    (IMAGES.astype(np.int32), LABELS, 'here: .*train.* images of int32'),
    (IMAGES[0], LABELS, r'shape \[4, 3\]'),
    (noise(6, 4, 3, 2), LABELS, r'shape \[6, 4, 3, 2\]'),
    (IMAGES[:, :0], LABELS, r'shape \[6, 0, 3, 1\]'),
    (IMAGES[:0], LABELS[:0], 'is empty'),
    (IMAGES, LABELS[:5], r'\[5\] for 6 images'),
    (IMAGES, LABELS - 1, '2 labels .*the first is -1 at example 0\npossible are 0 to 1'),
    (IMAGES, LABELS * 2, '2 of 5 classes have no training example, the first is 1'),
  ],
)
def test_refuses(images, labels, words):
  with pytest.raises(UserError, match=words) as caught:
    labelled_arrays(dict(train=(images, labels)), None, None, 'here')
  assert str(caught.value).count('\n') < 3
