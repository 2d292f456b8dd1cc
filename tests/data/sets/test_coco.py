"""COCO's JSON: what is kept, what is left out and counted, what is refused."""

import copy
import json

import numpy as np
import pytest
from _helpers import detection_files
from _helpers.detection_files import content, picture
from _helpers.pictures import encoded, smooth
from _helpers.trees import write
from PIL import Image

from vitlab.data import box_sets
from vitlab.data.sets import coco
from vitlab.errors import UserError

SIZE = dict(image_size=(20, 40))


def dumped(value):
  return json.dumps(value).encode()


def changed(**keys):
  """The usual content with other lists; a function changes what is there."""
  value = copy.deepcopy(content())
  for key, new in keys.items():
    value[key] = new(value[key]) if callable(new) else new
  return value


def with_row(number=0, **keys):
  """The usual content whose annotation of this number has other values; None: has not the key."""
  value = content()
  row = value['annotations'][number] | keys
  value['annotations'][number] = {key: x for key, x in row.items() if x is not None}
  return value


def tree(value, name='train.json'):
  pictures = {
    f'{n}.png': picture(n, h, w) for n, (h, w, _) in detection_files.PICTURES['train'].items()
  }
  return {name: value if isinstance(value, bytes) else dumped(value)} | pictures


def make(tmp_path, value, **keywords):
  """Of one JSON; most of it held out is 'test'."""
  return coco.make(write(tmp_path, tree(value)), **SIZE, **keywords)


def truths(dataset):
  found = [s.truth(i) for s in dataset.splits.values() for i in range(len(s))]
  return {truth.name[:1]: truth for truth in found}


@pytest.fixture
def said(caplog):
  box_sets._say.cache_clear()
  return lambda: '\n'.join(record.getMessage() for record in caplog.records)


def test_categories_are_numbered_by_id(tmp_path, said):
  """Ids with gaps, in no order in the file: as detectron2's contiguous ids."""
  dataset = coco.make(write(tmp_path, detection_files.coco()), **SIZE)
  assert dataset.facts['class_names'] == ['cat', 'dog'] and dataset.facts['class_ids'] == [3, 17]
  assert dataset.splits['train'].truth(0).classes.tolist() == [1, 0]
  assert '3 → cat → 0, 17 → dog → 1' in said()
  assert 'train 3, val 1 pictures, 4 boxes, 2 at most in one; pictures without objects: 1' in said()


def test_ids_from_zero_and_one_class(tmp_path):
  value = content(first=0)
  value['categories'] = [dict(id=0, name='thing')]
  value['annotations'] = [row | dict(category_id=0) for row in value['annotations']]
  found = truths(coco.make(write(tmp_path, tree(value) | {'val.json': dumped(value)}), **SIZE))
  assert found['a'].image_id == 0 and found['a'].classes.tolist() == [0, 0]


@pytest.mark.parametrize(
  ('names', 'splits'),
  [
    (
      ('annotations/instances_train2014.json', 'annotations/instances_val2014.json'),
      ('train', 'val'),
    ),
    (('train/_annotations.coco.json', 'valid/_annotations.coco.json'), ('train', 'val')),
    (('my_training.json', 'the-test-set.json'), ('train', 'test')),
    (('instances_train.json', 'instances_minival.json'), ('train', 'instances_minival')),
  ],
)
def test_splits_are_called_as_their_files(tmp_path, names, splits):
  files = tree(content(), names[0]) | {names[1]: dumped(content())}
  dataset = coco.make(write(tmp_path, files | {'captions_train2014.json': b'{}'}), **SIZE)
  assert sorted(dataset.splits) == sorted(splits)


def test_archives_of_the_folder_are_looked_into(tmp_path):
  """As COCO is published: JSON in one archive, the pictures of each split in another."""
  files = detection_files.coco()
  parts = dict(annotations='annotations/', train2017='train2017/', val2017='val2017/')
  for name, start in parts.items():
    inside = {path: text for path, text in files.items() if path.startswith(start)}
    packed = write(tmp_path / name, inside, 'zip' if name == 'annotations' else 'tar')
    (tmp_path / packed).rename(tmp_path / f'{name}.{packed.rpartition(".")[2]}')
    (tmp_path / name).rmdir()
  dataset = coco.make(str(tmp_path), **SIZE)
  assert {split: len(source) for split, source in dataset.splits.items()} == dict(train=3, val=1)
  np.testing.assert_array_equal(
    dataset.splits['val'][0]['image'], detection_files.noise(20, 40, 3, seed=ord('d'))
  )


def test_pictures_of_one_name_are_told_apart_by_the_folder_of_their_split(tmp_path):
  rows = dict(
    train=dict(a=(20, 40, [('cat', 0, 0, 5, 5)])), val=dict(a=(40, 20, [('dog', 0, 0, 5, 5)]))
  )
  dataset = coco.make(write(tmp_path, detection_files.coco(rows)), **SIZE)
  assert [dataset.splits[s].truth(0).name for s in ('train', 'val')] == [
    'train2017/a.png',
    'val2017/a.png',
  ]


def test_a_part_is_held_out_where_there_is_no_split(tmp_path):
  rows = {chr(65 + i): (20, 40, [('cat', 0, 0, 5, 5)]) for i in range(20)}
  files = {'labels.json': dumped(content(rows))} | detection_files.files(
    lambda _, n: n, dict(x=rows)
  )
  path = write(tmp_path, files)
  dataset = coco.make(path, **SIZE)
  names = {s: [x.truth(i).name for i in range(len(x))] for s, x in dataset.splits.items()}
  assert len(names['train']) == 18 and len(names['test']) == 2
  assert names['train'] == sorted(names['train']) and len({*names['train'], *names['test']}) == 20
  other = coco.make(path, **SIZE, split_seed=1).splits['test']
  assert [other.truth(i).name for i in range(2)] != names['test']
  assert len(coco.make(path, **SIZE, test_fraction=0.5).splits['test']) == 10


ODD = dict(
  crowd=(dict(iscrowd=1), 'crowd regions, not learned from: 1'),
  empty=(dict(bbox=[4, 5, 0, 10]), 'boxes without area, not learned from: 1'),
  outside=(dict(bbox=[50, 5, 10, 10]), 'boxes outside of their picture, not learned from: 1'),
  stray=(dict(image_id=99), 'annotations of no listed picture, left out: 1'),
)


@pytest.mark.parametrize('kind', ODD)
def test_what_is_not_learned_from_is_counted(tmp_path, said, kind):
  keys, words = ODD[kind]
  value = with_row(0, **keys)
  files = tree(value) | {'val.json': dumped(value)}
  dataset = coco.make(write(tmp_path, files), **SIZE)
  train = dataset.splits['train']
  assert train[0]['classes'].tolist() == [0, -1, -1, -1]
  assert len(train.truth(0).classes) == (1 if kind == 'stray' else 2)  # the truth is untouched
  assert train.truth(0).crowd.any() == (kind == 'crowd')
  words = words.replace(': 1', ': 2') if kind == 'stray' else words  # once a file, not a picture
  assert words in said() and "not in train: 'dog'" in said()


def test_a_box_is_cut_at_the_edge(tmp_path, said):
  dataset = make(tmp_path, with_row(0, bbox=[-4, 5, 50, 30]), test_fraction=0.4)
  truth = truths(dataset)['a']
  assert truth.boxes[0].tolist() == [-4, 5, 46, 35]
  example = next(
    s[i] for s in dataset.splits.values() for i in range(len(s)) if s.truth(i).name == 'a.png'
  )
  assert example['boxes'][0].tolist() == [0, 5, 40, 20]
  assert 'boxes cut at the edge of their picture: 1' in said()


def test_what_a_file_may_leave_out(tmp_path):
  """iscrowd, area and the size of the picture: 0, w x h, and that of the file itself."""
  value = with_row(0, iscrowd=None, area=None)
  for image in value['images']:
    del image['height'], image['width']
  truth = truths(make(tmp_path, value, test_fraction=0.4))['a']
  assert not truth.crowd.any() and truth.area.tolist() == [100, 400]
  assert (truth.height, truth.width) == (20, 40)


def test_the_area_is_that_of_the_mask(tmp_path):
  for area in (7.5, 0):
    dataset = make(tmp_path / str(area), with_row(0, area=area), test_fraction=0.4)
    assert truths(dataset)['a'].area[0] == area


def test_boxes_are_on_the_picture_that_the_file_means(tmp_path):
  """EXIF turns the pixels, unless the file has the size of the stored ones."""
  exif = Image.Exif()
  exif[0x0112] = 6
  turned = encoded(smooth(20, 40), exif=exif)
  for height, width in ((40, 20), (20, 40)):
    value = content(dict(a=(height, width, [('cat', 0, 0, 5, 5), ('dog', 0, 0, 9, 5)])))
    files = {'train.json': dumped(value), 'val.json': dumped(value), 'a.png': turned}
    source = coco.make(write(tmp_path / str(height), files), **SIZE).splits['train']
    assert source[0]['size'].tolist() == [height, width]
    upright = smooth(20, 40) if height == 20 else np.rot90(smooth(20, 40), -1)
    np.testing.assert_array_equal(source[0]['image'], upright)


def test_grey_pictures_are_repeated_or_stay(tmp_path):
  value = content(dict(a=(20, 40, [('cat', 0, 0, 5, 5), ('dog', 0, 0, 9, 5)])))
  grey = smooth(20, 40)[..., 0]
  files = {'train.json': dumped(value), 'val.json': dumped(value), 'a.png': encoded(grey)}
  path = write(tmp_path, files)
  for channels in (1, 3):
    image = coco.make(path, **SIZE, channels=channels).splits['train'][0]['image']
    np.testing.assert_array_equal(image, np.repeat(grey[..., None], channels, axis=2))


WRONG = {
  'not JSON': (b'{"images": [', 'train.json is not JSON: '),
  'a list': (b'[]', 'has no list of images\nexpected COCO'),
  'no images': (changed(images=[]), 'lists no images'),
  'no key images': ({'annotations': [], 'categories': []}, 'has no list of images'),
  'no categories': (changed(categories=[]), 'no categories'),
  'unknown category': (
    with_row(0, category_id=18),
    'annotation 1 has the unknown category 18\nits',
  ),
  'box of NaN': (
    with_row(0, bbox=[float('nan'), 1, 2, 3]),
    'train: a.png: box 1 .* a number that is NaN',
  ),
  'infinite box': (with_row(1, bbox=[float('inf'), 1, 2, 3]), 'box 2 .* a number that is NaN'),
  'negative size': (
    with_row(0, bbox=[5, 5, -2, 3]),
    r'box 1 \(x1, y1, x2, y2 = 5, 5, 3, 8\) is of neg',
  ),
  'three numbers': (with_row(0, bbox=[5, 5, 2]), r'has the bbox \[5, 5, 2\]: expected'),
  'words': (with_row(0, bbox=['5', 5, 2, 3]), 'expected .x, y, width, height'),
  'no bbox': (with_row(0, bbox=None), "one of its annotations has no 'bbox'"),
  'an id twice': (with_row(0, id=2), 'two annotations have the id 2'),
  'an image twice': (changed(images=lambda x: [*x, x[0]]), 'two images have the id 1'),
  'a category twice': (changed(categories=lambda x: [*x, x[0]]), 'two categories have the id 17'),
  'a category of words': (
    changed(categories=[dict(id='x', name='x')]),
    "category id 'x' is no whole",
  ),
  'no boxes': (changed(annotations=[]), "split 'train' has 3 pictures and not one box"),
  'only crowds': (
    changed(annotations=lambda x: [row | dict(iscrowd=1) for row in x]),
    'not one box in them',
  ),
  'picture missing': (
    changed(images=lambda x: [*x, dict(id=9, file_name='z.png')]),
    'lists 4 pictures, of which 1 are not there, as z.png',
  ),
}


@pytest.mark.parametrize('kind', WRONG)
def test_what_is_refused(tmp_path, kind):
  value, words = WRONG[kind]
  with pytest.raises(UserError, match=words) as error:
    make(tmp_path, value, test_fraction=0.4)
  assert len(str(error.value).splitlines()) <= 3


def test_files_that_contradict_each_other(tmp_path):
  other = changed(categories=[dict(id=3, name='cow'), dict(id=17, name='dog')])
  files = tree(content()) | {'val.json': dumped(other)}
  with pytest.raises(UserError, match="category 3 is 'cat', and 'cow' in .*val.json"):
    coco.make(write(tmp_path / 'a', files), **SIZE)
  files = tree(content()) | {'train2.json': dumped(content())}
  with pytest.raises(UserError, match="train.json and train2.json are both 'train'"):
    coco.make(write(tmp_path / 'b', files), **SIZE)
  files = detection_files.files(lambda s, n: f'{n}/{s}/x')
  files |= {'train.json': dumped(changed(images=[dict(id=1, file_name='x.png')]))}
  with pytest.raises(UserError, match="'x.png' may be a/train/x.png or b/train/x.png"):
    coco.make(write(tmp_path / 'c', files), **SIZE)


def test_nothing_there(tmp_path):
  with pytest.raises(UserError, match='holds no JSON file of boxes'):
    coco.make(write(tmp_path, {'a.txt': b''}))
  with pytest.raises(UserError, match='does not exist'):
    coco.make(str(tmp_path / 'nowhere'))


@pytest.mark.parametrize(
  ('wrong', 'words'),
  [(dict(test_fraction=0.0), 'test_fraction=0.0'), (dict(image_size=(40, 20)), 'short, long')],
)
def test_bad_arguments(tmp_path, wrong, words):
  with pytest.raises(UserError, match=words):
    coco.make(write(tmp_path, tree(content())), **{**SIZE, **wrong})
