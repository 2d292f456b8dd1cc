"""The identity of a data set: equal where the data are, cheap, and in words where they are not."""

import json
import shutil

import numpy as np
import pytest
from _helpers import text
from _helpers.pictures import encoded, noise

from vitlab import registry
from vitlab.data import Dataset, identity, pictures, splits
from vitlab.errors import UserError


def folder(path, **classes):
  """Pictures of some classes: so many each, all of the class in one noise."""
  for split, counts in dict(train=classes, test=dict.fromkeys(classes, 2)).items():
    for seed, (name, count) in enumerate(counts.items()):
      (path / split / name).mkdir(parents=True)
      for i in range(count):
        (path / split / name / f'{i}.png').write_bytes(encoded(noise(6, 6, 3, seed=seed)))
  return path


def make(path, **words):
  return registry.make('data.sets', dict(name='folder', path=str(path), image_size=6) | words)


def changes(before, now):
  return identity.changes(identity.of(before), identity.of(now))


def npz(path, **arrays):
  label = np.arange(8, dtype=np.int32) % 2
  given = dict(train_image=noise(8, 4, 4), train_label=label)
  np.savez(path, **given | dict(test_image=noise(2, 4, 4), test_label=label[:2]) | arrays)
  return registry.make('data.sets', dict(name='arrays', path=str(path)))


def sets(tmp_path):
  """A data set of every kind that needs no preparation."""
  photos = folder(tmp_path / 'photos', cat=3, dog=4)
  yield make(photos)
  yield make(photos, in_memory=True)
  yield make(shutil.make_archive(str(tmp_path / 'packed'), 'zip', photos))
  yield make(shutil.make_archive(str(tmp_path / 'packed'), 'gztar', photos))
  yield npz(tmp_path / 'mine.npz')
  yield registry.make('data.sets', dict(name='digits'))
  yield registry.make('data.sets', dict(name='reverse', train=20, test=4))
  yield registry.make('data.sets', text.spec(text.write(tmp_path / 'text', train=200, val=20)))


def test_every_set_says_what_it_is_and_twice_the_same(tmp_path, monkeypatch):
  decode = lambda *_, **__: pytest.fail('a picture was decoded')  # noqa: E731
  monkeypatch.setattr(pictures, 'preprocess', decode)
  monkeypatch.setattr('vitlab.data.sources.preprocess', decode)
  first = [identity.of(one) for one in sets(tmp_path / 'a')]
  again = [identity.of(one) for one in sets(tmp_path / 'b')]
  assert first == again == json.loads(json.dumps(first))
  for one in first:
    assert all(len(split['digest']) == 16 for split in one['splits'].values())
    assert 'class_names' in one or 'vocabulary' in one
  in_folder, loaded, in_zip, in_tar, *others = first
  assert in_folder == loaded == in_zip == in_tar  # the same pictures, wherever they lie
  assert len({one['splits']['train']['digest'] for one in others}) == len(others)


def test_changes_of_a_folder_are_named(tmp_path):
  before = make(folder(tmp_path / 'photos', cat=3, dog=4))
  shutil.copytree(tmp_path / 'photos', tmp_path / 'copy')
  assert not changes(before, make(tmp_path / 'copy'))
  (tmp_path / 'copy/train/cat/2.png').rename(tmp_path / 'copy/train/cat/9.png')
  assert changes(before, make(tmp_path / 'copy')) == [
    'train: its 7 examples are others, or in another order'
  ]
  (tmp_path / 'copy/test/cat/1.png').unlink()
  assert changes(before, make(tmp_path / 'copy'))[0] == 'test: 3 examples were 4'
  for split in ('train', 'test'):
    (tmp_path / 'photos' / split / 'cat').rename(tmp_path / 'photos' / split / 'zebra')
  assert changes(before, make(tmp_path / 'photos')) == [
    "classes gone: 'cat'",
    "classes new: 'zebra'",
  ]


@pytest.mark.parametrize('key', ['image', 'label'])
def test_changes_of_arrays_are_seen(tmp_path, key):
  before = npz(tmp_path / 'mine.npz')
  given = before.splits['train'].arrays[key].astype(np.uint8)
  given[[2, 3]] = given[[3, 2]]
  now = npz(tmp_path / 'mine.npz', **{f'train_{key}': given})
  assert changes(before, now) == ['train: its 8 examples are others, or in another order']


def test_of_a_large_array_every_nth_example_counts(monkeypatch):
  rows = np.arange(64, dtype=np.uint8).reshape(16, 4)
  whole = identity.digest(rows)
  monkeypatch.setattr(identity, 'SAMPLE', 32)
  seen = identity.digest(rows)
  assert seen != whole
  assert [
    i
    for i in range(16)
    if identity.digest(np.where(np.arange(16)[:, None] == i, 0, rows).astype(np.uint8)) != seen
  ] == list(range(0, 16, 2))


def test_other_words_and_other_orders():
  words = lambda *given: dict(vocabulary=identity.of_facts(dict(vocabulary=given))['vocabulary'])  # noqa: E731
  assert not identity.changes(words('a', 'b'), words('a', 'b'))
  assert identity.changes(words('a', 'b'), words('b', 'a')) == ['the vocabulary is another one']
  names = identity.changes(dict(class_names=['a', 'b', 'c']), dict(class_names=['a', 'c', 'b']))
  assert names == ["class 1 was 'b', is 'c'", "class 2 was 'c', is 'b'"]


class Own:
  """A split that says nothing of itself."""

  def __len__(self):
    return 3

  def __getitem__(self, index):
    return dict(label=np.int32(index))


def test_what_only_one_side_knows_is_no_change():
  own = identity.of(Dataset(dict(train=Own()), {}))
  assert own == dict(splits=dict(train=dict(examples=3, digest=None)))
  known = dict(splits=dict(train=dict(examples=3, digest='0' * 16)), class_names=['a'])
  assert not identity.changes(own, known) and not identity.changes(known, own)
  assert not identity.changes(dict(class_names=['a']), known)  # of a workdir of an older version


def test_pieces_of_splits_differ(tmp_path):
  data = make(folder(tmp_path / 'photos', cat=4, dog=4))
  parts = ['train', 'train[:4]', 'train[4:]', 'train[:4]+test']
  digests = [identity.digest_of(splits.select(data, part)) for part in parts]
  assert len(set(digests)) == 4 and None not in digests


def test_a_run_goes_on_with_its_own_data_only(tmp_path):
  data = make(folder(tmp_path / 'photos', cat=3, dog=4))
  kept = identity.check(None, data, 'runs/a')
  assert kept['class_names'] == ['cat', 'dog'] and set(kept['splits']) == {'train', 'test'}
  kept['splits']['val'] = dict(examples=1, digest=None)  # gone, and nobody reads it: remembered
  assert identity.check(kept, data, 'runs/a') == kept
  folder(tmp_path / 'other', cat=2, emu=4)
  with pytest.raises(UserError) as error:
    identity.check(kept, make(tmp_path / 'other'), 'runs/a')
  assert str(error.value).splitlines() == [
    "workdir 'runs/a' was started on other data: classes gone: 'dog'; classes new: 'emu'; "
    'train: 6 examples were 7',
    'to continue that run put the data back; to start a new one choose another --workdir,',
    'or to go on with the data as they are now: rm runs/a/facts.json',
  ]


def test_pages_of_a_run_take_its_own_data_only(tmp_path):
  facts = identity.check(None, make(folder(tmp_path / 'photos', cat=3, dog=4)), 'runs/a')
  identity.check_same(facts, make(tmp_path / 'photos'), 'runs/a')
  folder(tmp_path / 'other', cat=2, dog=4)
  with pytest.raises(UserError, match=r'runs/a: its data have changed: train: \d+ examples were'):
    identity.check_same(facts, make(tmp_path / 'other'), 'runs/a')
