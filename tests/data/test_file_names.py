"""Files are found as annotations name them, and splits as people call them."""

import pytest

from vitlab.data.file_names import Finder, split_of, stem
from vitlab.errors import UserError

NAMES = ['train/a.jpg', 'val/a.jpg', 'val/b.v1.jpg', 'val/b.txt', 'deep/val/c.png', 'empty/']


@pytest.mark.parametrize(
  ('path', 'folders', 'found'),
  [
    ('train/a.jpg', [], 0),
    ('images/train/a.jpg', [], 0),
    ('C:\\data\\val\\a.jpg', [], 1),
    ('./../val/a.jpg', [], 1),
    ('a.jpg', ['nowhere', 'val', 'train'], 1),
    ('other/c.png', [], 4),
    ('b.txt', [], None),
    ('d.png', [], None),
  ],
)
def test_the_longest_equal_end_of_a_path_decides(path, folders, found):
  assert Finder(NAMES)(path, folders) == found


def test_several_files_are_an_error():
  with pytest.raises(UserError, match="'a.jpg' may be train/a.jpg or val/a.jpg"):
    Finder(NAMES)('a.jpg', ['deep'])


def test_without_endings_a_picture_is_found_by_the_name_of_its_text():
  assert Finder(NAMES, key=stem)('b.v1.xml') == 2 and Finder(NAMES, key=stem)('b.xml') is None


@pytest.mark.parametrize(
  ('path', 'split'),
  [
    ('annotations/instances_train2017.json', 'train'),
    ('valid/_annotations.coco.json', 'val'),
    ('train/my_test_set.json', 'test'),
    ('Training/a.xml', 'train'),
    ('strained/latest.json', None),
    ('', None),
  ],
)
def test_splits_are_words_of_a_path(path, split):
  assert split_of(path) == split
