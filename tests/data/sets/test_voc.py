"""Pascal VOC's XML: its pixels count from 1, its lists name splits."""

import numpy as np
import pytest
from _helpers import detection_files
from _helpers.detection_files import picture, xml
from _helpers.trees import write

from vitlab.data import box_sets
from vitlab.data.sets import voc
from vitlab.errors import UserError

SIZE = dict(image_size=(20, 40))
CAT = (20, 40, [('cat', 0, 0, 10, 10)])


def beside(files=None, count=2):
  """XML files beside pictures, no lists: a.xml, a.png, ..."""
  names = [chr(97 + i) for i in range(count)]
  found = {f'{name}.xml': xml(*CAT) for name in names}
  return found | {f'{name}.png': picture(name, 20, 40) for name in names} | (files or {})


def test_pixels_count_from_1_and_the_last_one_belongs_to_the_box(tmp_path):
  """As detectron2 reads them: xmin 1, xmax 10 are the ten pixels [0, 10]."""
  text = b'<annotation><object><name>cat</name><bndbox><xmin>1</xmin><ymin>3</ymin>'
  text += b'<xmax>10</xmax><ymax>7.5</ymax></bndbox></object></annotation>'
  dataset = voc.make(write(tmp_path, beside({'a.xml': text, 'b.xml': text})), **SIZE)
  truth = dataset.splits['train'].truth(0)
  assert truth.boxes.tolist() == [[0, 2, 10, 7.5]] and truth.area.tolist() == [55]
  assert (truth.height, truth.width) == (20, 40) and not truth.difficult.any()  # nobody says


def test_a_box_of_one_corner_has_no_area_and_gets_none(tmp_path, caplog):
  box_sets._say.cache_clear()
  objects = [('cat', 4, 4, 5, 5), ('cat', 0, 0, 10, 10)]  # its xmin is xmax, its ymin ymax
  files = beside({'a.xml': xml(20, 40, objects), 'b.xml': xml(20, 40, objects)})
  train = voc.make(write(tmp_path, files), **SIZE).splits['train']
  assert train.truth(0).boxes.tolist() == [[5, 5, 5, 5], [0, 0, 10, 10]]
  assert train[0]['boxes'][:2].tolist() == [[0, 0, 10, 10], [0, 0, 0, 0]]
  assert 'boxes without area, not learned from: 2' in caplog.text


def test_difficult_objects_are_learned_from(tmp_path, caplog):
  box_sets._say.cache_clear()
  objects = [('cat', 0, 0, 10, 10), ('dog', 5, 5, 15, 15)]
  files = beside({'a.xml': xml(20, 40, objects, difficult=[1])})
  dataset = voc.make(write(tmp_path, files), **SIZE, test_fraction=0.5)
  found = {s.truth(0).name: s for s in dataset.splits.values()}['a.png']
  assert found.truth(0).difficult.tolist() == [False, True]
  assert found[0]['classes'].tolist() == [0, 1, -1, -1]
  assert 'difficult, learned from but not asked for: 1' in caplog.text


def test_lists_name_the_splits_and_those_of_one_class_do_not(tmp_path):
  files = detection_files.voc()
  root = 'VOCdevkit/VOC2007'
  files[f'{root}/ImageSets/Main/trainval.txt'] = b'a\nd\n\n'
  files[f'{root}/ImageSets/Layout/test.txt'] = b'a 1\n'
  files[f'{root}/ImageSets/Main/test.txt'] = b'000017\n000018\n'  # as VOC 2012: no XML files
  dataset = voc.make(write(tmp_path, files), **SIZE)
  sizes = {split: len(source) for split, source in dataset.splits.items()}
  assert sizes == dict(train=3, val=1, trainval=2)
  assert [dataset.splits['trainval'].truth(i).image_id for i in range(2)] == ['a', 'd']


def test_folders_name_the_splits_where_there_are_no_lists(tmp_path):
  """As Roboflow exports: XML beside the pictures, names with dots and the same in both splits."""
  files = {}
  for split, name in (('train', 'a.v1.rf'), ('train', 'b.v1.rf'), ('valid', 'a.v1.rf')):
    files[f'{split}/{name}.xml'] = xml(*CAT)
    files[f'{split}/{name}.png'] = picture('v' if split == 'valid' else name[0], 20, 40)
  dataset = voc.make(write(tmp_path, files), **SIZE)
  assert {split: len(source) for split, source in dataset.splits.items()} == dict(train=2, val=1)
  assert dataset.splits['val'].truth(0).name == 'valid/a.v1.rf.png'


@pytest.mark.parametrize('size', [b'', b'<size><width>0</width><height>0</height></size>'])
def test_a_size_that_is_not_said_is_that_of_the_picture(tmp_path, size):
  text = xml(*CAT, size=False).replace(b'<object>', size + b'<object>')
  source = voc.make(write(tmp_path, beside({'a.xml': text, 'b.xml': text})), **SIZE).splits['train']
  assert (source.truth(0).height, source.truth(0).width) == (20, 40)


NO_NUMBER = xml(*CAT).replace(b'<xmax>10<', b'<xmax>ten<')
WRONG = {
  'not XML': ({'a.xml': b'<annotation>'}, r'a\.xml is not XML: '),
  'no name': ({'a.xml': xml(*CAT).replace(b'cat', b' ')}, 'without a name'),
  'no number': ({'a.xml': NO_NUMBER}, 'a.xml: an object without a name or without the four'),
  'NaN': ({'a.xml': NO_NUMBER.replace(b'ten', b'nan')}, 'a.png: box 1 .* a number that is NaN'),
  'negative size': ({'a.xml': NO_NUMBER.replace(b'ten', b'0')}, 'a.png: box 1 .* is of negative'),
  'no picture': ({'z.xml': xml(*CAT)}, 'z.xml: its picture z.jpg is not there'),
  'no boxes': (
    {'a.xml': xml(20, 40, []), 'b.xml': xml(20, 40, [])},
    'has 2 pictures and not one box in them',
  ),
  'no XML file': (
    {'ImageSets/Main/train.txt': b'a\nx\n'},
    'of 2 pictures of ImageSets/Main/train.txt, 1 have no XML file, as x',
  ),
  'a list twice': (
    {'VOC1/ImageSets/Main/train.txt': b'a', 'VOC2/ImageSets/Main/train.txt': b'b'},
    "several lists of the split 'train'",
  ),
}


@pytest.mark.parametrize('kind', WRONG)
def test_what_is_refused(tmp_path, kind):
  files, words = WRONG[kind]
  with pytest.raises(UserError, match=words) as error:
    voc.make(write(tmp_path, beside(files)), **SIZE)
  assert len(str(error.value).splitlines()) <= 3


def test_nothing_there(tmp_path):
  with pytest.raises(UserError, match='holds no XML files'):
    voc.make(write(tmp_path, {'a.txt': b''}))


def test_a_picture_of_another_size_is_left_out_when_it_is_read(tmp_path):
  source = voc.make(write(tmp_path, beside({'a.xml': xml(30, 40, CAT[2])}, 3)), **SIZE)
  (wrong,) = [
    s for s in source.splits.values() if 'a.png' in [s.truth(i).name for i in range(len(s))]
  ]
  with pytest.raises(UserError, match=r'20 x 40 pixels .* its annotation says 30 x 40'):
    wrong[0]
  np.testing.assert_array_equal(wrong.sizes[0], [20, 27])
