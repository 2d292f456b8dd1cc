"""YOLO's text files: fractions of the picture, and a YAML file that says where everything is."""

import numpy as np
import pytest
from _helpers import detection_files
from _helpers.detection_files import picture
from _helpers.trees import write

from vitlab.data import box_sets
from vitlab.data.sets import yolo
from vitlab.errors import UserError

SIZE = dict(image_size=(20, 40))
NAMES = b"names: ['cat', 'dog']\n"


def tree(rows=b'0 0.5 0.5 0.5 0.5\n', settings=b'train: images/train\nval: images/val\n' + NAMES):
  """Two pictures in each split; `rows` are those of the first one of train."""
  files = {'data.yaml': settings} if settings is not None else {}
  for split in ('train', 'val'):
    for name in 'ab':
      files[f'images/{split}/{name}.png'] = picture(name, 20, 40)
      files[f'labels/{split}/{name}.txt'] = b'1 0.25 0.5 0.5 1\n'
  return files | {'labels/train/a.txt': rows}


def make(tmp_path, *arguments, **keywords):
  return yolo.make(write(tmp_path, tree(*arguments, **keywords)), **SIZE)


def test_rows_are_centre_and_size(tmp_path):
  truth = make(tmp_path, b'0 0.5 0.25 0.25 0.1\n1.0 0.5 0.5 1 1\n\n').splits['train'].truth(0)
  np.testing.assert_allclose(truth.boxes, [[15, 4, 25, 6], [0, 0, 40, 20]])
  assert truth.classes.tolist() == [0, 1] and truth.image_id == 'a'


def test_a_polygon_is_its_box(tmp_path):
  truth = make(tmp_path, b'1 0.1 0.2 0.5 0.3 0.3 0.9\n').splits['train'].truth(0)
  np.testing.assert_allclose(truth.boxes, [[4, 4, 20, 18]])


def test_odd_rows_are_counted(tmp_path, caplog):
  """As ultralytics: a row that is there twice counts once; a picture without a file has nothing."""
  box_sets._say.cache_clear()
  files = tree(b'0 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2 0.2\n1 0.9 0.5 0.4 0.2\n1 0.5 0.5 0 0.2\n')
  del files['labels/train/b.txt']
  files['images/train/c.png'] = b'no picture'
  source = yolo.make(write(tmp_path, files), **SIZE).splits['train']
  assert len(source) == 2 and len(source.truth(0).boxes) == 3 and len(source.truth(1).boxes) == 0
  np.testing.assert_allclose(source[0]['boxes'][:2], [[16, 8, 24, 12], [28, 8, 40, 12]], rtol=1e-6)
  assert (source[1]['classes'] == -1).all()
  for words in (
    'rows that are there twice, counted once: 1',
    'boxes without area, not learned from: 1',
    'boxes cut at the edge of their picture: 1',
    'pictures without objects: 1',
    'pictures that cannot be read, left out: 1',
  ):
    assert words in caplog.text


@pytest.mark.parametrize(
  'settings',
  [
    b'path: ../datasets/pets\ntrain: images/train\nval: images/val\n' + NAMES,
    b'path: .\ntrain: [images/train]\nval: ./images/val/\nnc: 2\n' + NAMES,
    b'train: ../images/train\nval: ../images/val\n' + NAMES,  # Roboflow
    b'train: /home/me/pets/images/train\nval: C:\\pets\\images\\val\n' + NAMES,
    b'train: lists/train.txt\nval: lists/val.txt\n' + NAMES,
  ],
)
def test_where_the_pictures_of_a_split_are(tmp_path, settings):
  files = tree(settings=settings) | {
    'lists/train.txt': b'../images/train/a.png\n./images/train/b.png\n',
    'lists/val.txt': b'/home/me/images/val/a.png\nimages/val/b.png\n\n',
  }
  dataset = yolo.make(write(tmp_path, files, 'zip'), **SIZE)
  names = {s: [x.truth(i).name for i in range(len(x))] for s, x in dataset.splits.items()}
  assert names == {s: [f'images/{s}/a.png', f'images/{s}/b.png'] for s in ('train', 'val')}
  assert dataset.splits['train'].truth(0).classes.tolist() == [0]


def test_label_files_may_lie_beside_the_pictures(tmp_path):
  """As darknet: no folders images and labels."""
  files = {'obj/a.png': picture('a', 20, 40), 'obj/a.txt': b'1 0.5 0.5 1 1', 'data/d.yaml': b''}
  files |= {'obj/b.png': picture('b', 20, 40), 'obj/b.txt': b'1 0.5 0.5 1 1'}
  files['obj.yaml'] = b'train: obj\n' + NAMES
  dataset = yolo.make(write(tmp_path, files), **SIZE, test_fraction=0.5)
  assert sorted(dataset.splits) == ['test', 'train']
  assert all(source.truth(0).classes.tolist() == [1] for source in dataset.splits.values())


def test_numbers_of_classes_may_have_gaps(tmp_path):
  settings = b'train: images/train\nval: images/val\nnames: {7: cat, 1: dog}\n'
  dataset = make(tmp_path, b'7 0.5 0.5 1 1', settings)
  assert dataset.facts['class_names'] == ['dog', 'cat'] and dataset.facts['class_ids'] == [1, 7]
  assert dataset.splits['train'].truth(0).classes.tolist() == [1]


ROWS = {
  'pixels': (b'0 20 10 20 10', 'expected fractions of the picture, 0 to 1'),
  'four numbers': (b'0 0.5 0.5 0.5', 'expected a class and four numbers'),
  'with a score': (b'0 0.5 0.5 0.5 0.5 0.9', 'expected a class and four numbers'),
  'words': (b'cat 0.5 0.5 0.5 0.5', 'a.txt: cat 0.5 0.5 0.5 0.5\nexpected a class'),
  'unknown class': (
    b'2 0.5 0.5 0.5 0.5',
    'the unknown class 2 in 2 0.5 0.5 0.5 0.5\n.* classes 0, 1',
  ),
  'half a class': (b'0.5 0.5 0.5 0.5 0.5', 'the unknown class 0.5'),
  'NaN': (b'0 nan 0.5 0.5 0.5', 'a.png: box 1 .* a number that is NaN'),
  'negative size': (b'0 0.5 0.5 -0.5 0.5', 'a.png: box 1 .* is of negative size'),
}


@pytest.mark.parametrize('kind', ROWS)
def test_rows_that_are_refused(tmp_path, kind):
  rows, words = ROWS[kind]
  with pytest.raises(UserError, match=words) as error:
    make(tmp_path, rows)
  assert len(str(error.value).splitlines()) <= 3


SETTINGS = {
  'none': (None, 'no YAML file of the set\nexpected data.yaml'),
  'no names': (b'train: images/train\n', 'data.yaml has no names\nexpected'),
  'empty': (b'', 'data.yaml has no names'),
  'not YAML': (b'names: [', 'data.yaml is not YAML: '),
  'names of nothing': (b'train: images/train\nnames: 3\n', 'names: 3: expected a list'),
  'other count': (b'train: images/train\nnc: 3\n' + NAMES, 'nc is 3, but there are 2 names'),
  'no train': (NAMES, 'names no train'),
  'elsewhere': (b'train: photos\n' + NAMES, "train: photos holds no pictures\n.*'images/train'"),
  'any images': (b'train: nowhere/images\n' + NAMES, 'train: nowhere/images holds no pictures'),
  'bad list': (b'train: list.txt\n' + NAMES, 'list.txt lists x.png, which is not there'),
}


@pytest.mark.parametrize('kind', SETTINGS)
def test_settings_that_are_refused(tmp_path, kind):
  settings, words = SETTINGS[kind]
  files = tree(settings=settings) | {'list.txt': b'x.png\n'}
  with pytest.raises(UserError, match=words) as error:
    yolo.make(write(tmp_path, files), **SIZE)
  assert len(str(error.value).splitlines()) <= 3


def test_two_sets_in_one_folder(tmp_path):
  with pytest.raises(UserError, match='several YAML files with names'):
    yolo.make(write(tmp_path, tree() | {'other.yaml': NAMES}))


def test_no_boxes_in_a_split(tmp_path):
  files = tree() | {'labels/val/a.txt': b'', 'labels/val/b.txt': b''}
  with pytest.raises(UserError, match="split 'val' has 2 pictures and not one box"):
    yolo.make(write(tmp_path, files), **SIZE)


def test_a_usual_set(tmp_path):
  dataset = yolo.make(write(tmp_path, detection_files.yolo()), **SIZE)
  assert {split: len(source) for split, source in dataset.splits.items()} == dict(train=3, val=1)
