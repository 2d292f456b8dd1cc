"""Pictures in class folders, on disk or packed, give the same splits; bad trees are refused."""

import itertools
import pathlib
import pickle

import numpy as np
import pytest
from _helpers.pictures import encoded, noise
from _helpers.trees import KINDS, write
from PIL import Image

from vitlab.data import pipeline, splits
from vitlab.data.pictures import ImageError
from vitlab.data.sets import folder
from vitlab.errors import UserError

PLAIN = {
  f'{name}/{name}{i}.png': encoded(noise(6, 5, 3, seed=100 * label + i))
  for label, (name, count) in enumerate([('cat', 20), ('dog', 10), ('emu', 3)])
  for i in range(count)
}
SPLIT = {
  f'{split}/{name}/{i}.png': encoded(noise(6, 5, 3, seed=hash((split == 'test', label, i)) % 999))
  for split, count in (('train', 4), ('test', 2))
  for label, name in enumerate(['ant', 'bee'])
  for i in range(count)
}
image = dict(image_size=(6, 5))


def renamed(files, **tops):
  """The files with their top folders called otherwise."""
  parts = {name: name.split('/', 1) for name in files}
  return {f'{tops.get(parts[n][0], parts[n][0])}/{parts[n][1]}': files[n] for n in files}


def contents(dataset):
  return {
    split: [
      (e['image'].tobytes(), int(e['label'])) for e in map(source.__getitem__, range(len(source)))
    ]
    for split, source in dataset.splits.items()
  }


@pytest.mark.parametrize('kind', KINDS)
def test_split_folders(tmp_path, kind):
  dataset = folder.make(write(tmp_path, SPLIT, kind), **image)
  assert dataset.facts['class_names'] == ['ant', 'bee']
  assert {split: len(source) for split, source in dataset.splits.items()} == dict(train=8, test=4)
  expected = {(content, name) for name, content in SPLIT.items()}
  for split, source in dataset.splits.items():
    for number in range(len(source)):
      example, name = source[number], '/'.join(source.describe(number).split('/')[-3:])
      assert name.startswith(split) and name.split('/')[1] == ['ant', 'bee'][example['label']]
      assert (encoded(example['image']), name) in expected


def test_every_kind_of_tree_gives_the_same_data(tmp_path):
  reference = contents(folder.make(write(tmp_path / 'reference', PLAIN), **image))
  for kind in KINDS[1:]:
    path = write(tmp_path / kind, PLAIN, kind)
    assert contents(folder.make(path, **image)) == reference


@pytest.mark.parametrize('kind', ['folder', 'tar'])
def test_an_outer_folder_and_clutter_are_looked_through(tmp_path, kind):
  clutter = {
    'LICENSE': b'free',
    '__MACOSX/pets/v1/cat/._cat0.png': b'rubbish',
    'cat/.DS_Store': b'rubbish',
    'cat/._cat0.png': b'rubbish',
    'cat/.ipynb_checkpoints/cat0-checkpoint.png': b'rubbish',
    '.ipynb_checkpoints/x/y.png': b'rubbish',
    'dog/Thumbs.db': b'rubbish',
    '@eaDir/cat0.png/SYNOFILE_THUMB_M.jpg': b'rubbish',
    'cat/readme.txt': b'cats',
    '.git/x.png': b'rubbish',
  }
  outer = {f'pets/v1/{name}': content for name, content in (PLAIN | clutter).items()}
  plain = folder.make(write(tmp_path / 'plain', PLAIN), **image)
  dataset = folder.make(write(tmp_path / 'outer', outer, kind), **image)
  assert dataset.facts == plain.facts and contents(dataset) == contents(plain)


USUAL = [
  dict(train='Train', test='Test'),
  dict(train='Training', test='Testing'),
  dict(train='TRAIN', test='testing'),
  dict(train='training_set/training_set', test='test_set/test_set'),
]


@pytest.mark.parametrize('names', USUAL, ids=lambda names: names['train'])
@pytest.mark.parametrize('kind', ['folder', 'zip'])
def test_splits_by_their_usual_names(tmp_path, names, kind):
  plain = folder.make(write(tmp_path / 'plain', SPLIT), **image)
  dataset = folder.make(write(tmp_path / 'usual', renamed(SPLIT, **names), kind), **image)
  assert dataset.facts == plain.facts and contents(dataset) == contents(plain)


@pytest.mark.parametrize('name', ['val', 'valid', 'Validation', 'dev'])
def test_a_split_answers_to_all_its_names(tmp_path, name):
  dataset = folder.make(write(tmp_path, renamed(SPLIT, test=name)), **image)
  assert list(dataset.splits) == ['train', 'val']
  for asked in ('val', 'valid', 'validation', 'dev'):
    assert len(splits.select(dataset, f'{asked}[:75%]')) == 3
  with pytest.raises(UserError, match="unknown split 'test'"):
    splits.select(dataset, 'test')


LEFT_OUT = {
  'beside the splits': {'extra/ant/0.png': b'x', 'extra/1.png': b'x', 'look.png': b'x'},
  'an inner copy': {f'set/{name}': content for name, content in SPLIT.items()},
  'without a label': {'test/0.png': b'x', 'test/1.png': b'x', 'val/unknown/2.png': b'x'},
  'no pictures': {'train/ant/a.mp4': b'', 'train/bee/b.MP4': b'', 'test/list.csv': b''},
}


@pytest.mark.parametrize('files', LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_is_left_out_is_counted_in_one_line(tmp_path, files, caplog):
  plain = folder.make(write(tmp_path / 'plain', SPLIT), **image)
  assert not caplog.records
  dataset = folder.make(write(tmp_path / 'more', SPLIT | files), **image)
  folder.make(str(tmp_path / 'more'), **image)  # nothing is said twice
  assert dataset.facts == plain.facts and contents(dataset) == contents(plain)
  (record,) = caplog.records
  assert f'{len(files)} files left out: ' in record.getMessage()


def test_unlabelled_test_pictures_leave_the_test_split_to_be_held_out(tmp_path, caplog):
  files = {f'train/{name}': content for name, content in PLAIN.items()}
  plain = folder.make(write(tmp_path / 'plain', files), **image)
  more = files | {f'test/{number}.png': b'x' for number in range(7)}
  dataset = folder.make(write(tmp_path / 'more', more), **image)
  assert contents(dataset) == contents(plain)
  assert "7 files left out: 7 pictures of 'test' in no class" in caplog.text


def test_whatever_pillow_reads_is_a_picture(tmp_path, caplog):
  kinds = ['jfif', 'JPE', 'avif', 'webp', 'tif', 'bmp', 'gif', 'png', 'ppm', 'tga', 'jp2', 'qoi']
  kinds = [kind for kind in kinds if f'.{kind.lower()}' in Image.registered_extensions()]
  for name in ('a', 'b'):
    (tmp_path / name).mkdir()
    for kind in kinds:
      Image.new('RGB', (8, 8), 'red').save(tmp_path / name / f'x.{kind}')
  dataset = folder.make(str(tmp_path), test_fraction=0.5, image_size=8)
  assert [len(source) for source in dataset.splits.values()] == [len(kinds)] * 2
  for source in dataset.splits.values():
    for number in range(len(source)):
      assert source[number]['image'][4, 4].tolist() == pytest.approx([255, 0, 0], abs=3)
  assert not caplog.records


def test_held_out_part_is_stratified_and_seeded(tmp_path):
  path = write(tmp_path, PLAIN)
  dataset = folder.make(path, test_fraction=0.3, **image)
  labels = {
    split: [int(source[i]['label']) for i in range(len(source))]
    for split, source in dataset.splits.items()
  }
  assert np.abs(np.bincount(labels['test'], minlength=3) - [6, 3, 0.9]).max() <= 1
  np.testing.assert_array_equal(np.bincount(labels['train'] + labels['test']), [20, 10, 3])
  half = np.bincount(labels['train'][: len(labels['train']) // 2], minlength=3)
  assert np.abs(half - np.bincount(labels['train']) / 2).max() <= 1
  other = folder.make(path, test_fraction=0.3, split_seed=1, **image)
  assert set(contents(other)['test']) != set(contents(dataset)['test'])


def test_train_without_test_is_divided(tmp_path):
  files = {f'train/{name}': content for name, content in PLAIN.items()}
  dataset = folder.make(write(tmp_path, files), **image)
  assert {split: len(source) for split, source in dataset.splits.items()} == dict(train=30, test=3)


def test_a_class_may_be_called_train(tmp_path):
  files = {name.replace('cat', 'train'): content for name, content in PLAIN.items()}
  assert folder.make(write(tmp_path, files), **image).facts['class_names'] == [
    'dog',
    'emu',
    'train',
  ]


def test_in_memory_is_the_same_data(tmp_path):
  path = write(tmp_path, PLAIN)
  lazy, loaded = (folder.make(path, in_memory=flag, **image) for flag in (False, True))
  assert contents(loaded) == contents(lazy) and loaded.facts == lazy.facts
  assert hasattr(loaded.splits['train'], 'arrays')


def test_facts_are_arguments_of_preprocess(tmp_path):
  dataset = folder.make(write(tmp_path, PLAIN), image_size=4, channels=1, resize='pad')
  assert dataset.facts['image'] == dict(
    image_size=(4, 4),
    channels=1,
    resize='pad',
    crop_fraction=1.0,
    interpolation='bicubic',
  )
  assert dataset.splits['train'][0]['image'].shape == (4, 4, 1)


@pytest.mark.parametrize('kind', KINDS)
def test_splits_survive_pickling(tmp_path, kind):
  source = folder.make(write(tmp_path, PLAIN, kind), **image).splits['train']
  source[0]
  state = pickle.dumps(source)
  assert len(state) < 20_000  # an index, not the pictures
  np.testing.assert_array_equal(pickle.loads(state)[3]['image'], source[3]['image'])


@pytest.mark.parametrize('kind', ['zip', 'tar.gz'])
def test_trains_with_workers_as_without(tmp_path, kind):
  source = folder.make(write(tmp_path, PLAIN, kind), **image).splits['train']
  taken = []
  for workers in (0, 1):
    batches = pipeline.train_batches(source, batch_size=8, seed=0, workers=workers)
    taken.append([batch['image'].tobytes() for batch in itertools.islice(batches, 5)])
    batches.close()
  assert taken[0] == taken[1]


def test_a_corrupt_picture_is_named(tmp_path, caplog):
  files = PLAIN | {'cat/cat7.png': PLAIN['cat/cat7.png'][:60], 'dog/dog1.png': b''}
  source = folder.make(write(tmp_path, files), **image).splits['train']
  list(pipeline.eval_batches(source, batch_size=8, max_corrupt=0.1))
  messages = ' '.join(record.getMessage() for record in caplog.records)
  assert f'{tmp_path}/cat/cat7.png: cannot be decoded' in messages
  assert f'{tmp_path}/dog/dog1.png: empty: zero bytes' in messages
  with pytest.raises(UserError, match=r'1 of 30 .*max_corrupt=0.01 allows; the last is .*\.png'):
    list(pipeline.eval_batches(source, batch_size=8))


def test_a_file_that_is_gone_is_an_image_error(tmp_path):
  source = folder.make(write(tmp_path, PLAIN), **image).splits['train']
  pathlib.Path(source.describe(0)).unlink()
  with pytest.raises(ImageError, match='cannot be read: No such file'):
    source[0]


@pytest.mark.parametrize(
  ('files', 'words'),
  [
    ({}, 'holds no pictures'),
    ({'a/readme.txt': b''}, 'holds no pictures'),
    ({'a.png': b'x', 'b.png': b'x'}, 'picture a.png lies in no class'),
    ({'train/a.png': b'x', 'test/a.png': b'x'}, 'picture a.png lies in no class'),
    ({'Training/a.png': b'x', 'dev/a.png': b'x'}, 'picture a.png lies in no class'),
    ({'train/0.png': b'x', 'test/1.png': b'x', 'extra/2.png': b'x'}, '0.png lies in no class'),
    (SPLIT | {'Train/ant/9.png': b'x'}, "Train/ and train/ are both 'train'"),
    (SPLIT | {'valid/ant/9.png': b'x', 'dev/': b''}, "dev/ and valid/ are both 'val'"),
    (PLAIN | {'fox/': b''}, "class 'fox' has no training pictures"),
    (PLAIN | {'fox/readme.txt': b''}, "class 'fox' has no training pictures"),
    (PLAIN | {'fox/.gitkeep': b''}, "class 'fox' has no training pictures"),
    (PLAIN | {'fox/._0.png': b'rubbish'}, "class 'fox' has no training pictures"),
    (SPLIT | {'train/cow/.gitkeep': b''}, "class 'cow' has no training pictures"),
    (SPLIT | {'train/cow/': b''}, "class 'cow' has no training pictures"),
    (SPLIT | {'test/bees/0.png': b'x'}, "'bees': did you mean bee"),
    ({'test/a/0.png': b'x', 'val/b/1.png': b'x'}, 'has test, val but no pictures in train/'),
    (SPLIT | {'val/': b''}, "split 'val' is empty"),
    (SPLIT | {'val/.gitkeep': b''}, "split 'val' is empty"),
    (renamed(SPLIT, train='fold1', test='fold2'), 'fold1/ and fold2/ hold the same folders, ant'),
    ({f'{n}/{s}/0.png': b'x' for n in 'ab' for s in ('train', 'test')}, 'the same folders, test'),
    (renamed(SPLIT, test='extra'), 'train/ holds folders as a split does, but extra beside it'),
    ({'a/0.mp4': b'', 'b/1.heic': b'', 'b/2.heic': b''}, '3 files left out: 2 .heic, 1 .mp4'),
    ({'cat/0.png': b'x', 'cat/1.png': b'x'}, "only one class, 'cat'"),
    ({'a/0.png': b'x', 'b/0.png': b'x'}, "split 'test' is empty"),
  ],
)
def test_refuses_trees(tmp_path, files, words):
  with pytest.raises(UserError, match=words) as caught:
    folder.make(write(tmp_path, files), **image)
  assert str(caught.value).count('\n') < 3


@pytest.mark.parametrize('kind', ['zip', 'tar'])
def test_refuses_empty_classes_in_archives(tmp_path, kind):
  with pytest.raises(UserError, match="class 'fox' has no training pictures"):
    folder.make(write(tmp_path, PLAIN | {'fox/': b''}, kind), **image)


@pytest.mark.parametrize(
  ('keywords', 'words'),
  [
    (dict(path=''), 'path is empty'),
    (dict(image_size=-1), 'image_size=-1'),
    (dict(channels=2), 'channels=2'),
    (dict(resize='zoom'), "resize='zoom'"),
    (dict(test_fraction=1.5), 'test_fraction=1.5'),
  ],
)
def test_refuses_arguments(tmp_path, keywords, words):
  with pytest.raises(UserError, match=words):
    folder.make(**{'path': write(tmp_path, PLAIN), **image, **keywords})
