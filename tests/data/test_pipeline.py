"""Batches depend on (seed, step) alone: not on processes, workers, threads or where one starts."""

import itertools
import pickle

import numpy as np
import pytest
from _helpers.pictures import Noise

from vitlab.data import pipeline
from vitlab.data.pictures import ImageError
from vitlab.data.sources import Arrays
from vitlab.errors import UserError


def arrays(length=37):
  generator = np.random.default_rng(0)
  image = generator.integers(0, 256, (length, 4, 3, 1), np.uint8)
  return Arrays(dict(image=image, label=np.arange(length, dtype=np.int32)))


SOURCES = dict(arrays=arrays, pictures=Noise)
source_kinds = pytest.mark.parametrize('kind', SOURCES)


def take(batches, count):
  taken = list(itertools.islice(batches, count))
  batches.close()
  return taken


def assert_equal(left, right):
  assert len(left) == len(right)
  for a, b in zip(left, right):
    assert a.keys() == b.keys()
    for key in a:
      assert a[key].dtype == b[key].dtype
      np.testing.assert_array_equal(a[key], b[key])


def merged(parts):
  """Per-process lists of batches -> the global batches."""
  return [{k: np.concatenate([b[k] for b in step]) for k in step[0]} for step in zip(*parts)]


@source_kinds
@pytest.mark.parametrize('processes', [2, 4])
def test_processes_share_one_global_batch(kind, processes):
  make = SOURCES[kind]
  keywords = dict(batch_size=8, seed=3, process_count=processes)
  alone = take(pipeline.train_batches(make(), batch_size=8, seed=3), 12)
  parts = [
    take(pipeline.train_batches(make(), process_index=i, **keywords), 12) for i in range(processes)
  ]
  assert_equal(merged(parts), alone)


@source_kinds
def test_resumes_at_any_step(kind):
  source = SOURCES[kind]()
  whole = take(pipeline.train_batches(source, batch_size=8, seed=1), 20)
  for start in (1, 4, 13):
    rest = take(pipeline.train_batches(source, batch_size=8, seed=1, start=start), 20 - start)
    assert_equal(rest, whole[start:])


def test_worker_processes_change_nothing():
  alone = take(pipeline.train_batches(Noise(), batch_size=8, seed=1, max_corrupt=1.0), 10)
  worked = take(
    pipeline.train_batches(Noise(), batch_size=8, seed=1, start=3, workers=2, max_corrupt=1.0), 7
  )
  assert_equal(worked, alone[3:])


@source_kinds
def test_every_epoch_visits_every_example_once(kind):
  source = SOURCES[kind]()
  length, batch_size = len(source), 5
  batches = take(pipeline.train_batches(source, batch_size=batch_size, seed=2), length)
  labels = np.concatenate([batch['label'] for batch in batches]).reshape(batch_size, length)
  np.testing.assert_array_equal(np.sort(labels, axis=1), np.tile(np.arange(length), (5, 1)))
  assert len({epoch.tobytes() for epoch in labels}) == batch_size
  assert all(batch['mask'].all() for batch in batches)


@source_kinds
def test_images_belong_to_their_labels(kind):
  source = SOURCES[kind]()
  for batch in take(pipeline.train_batches(source, batch_size=6, seed=0), 4):
    for image, label in zip(batch['image'], batch['label']):
      np.testing.assert_array_equal(image, source[int(label)]['image'])


def test_seeds_differ():
  first, second = (
    take(pipeline.train_batches(arrays(), batch_size=30, seed=seed), 1)[0] for seed in (0, 1)
  )
  assert not np.array_equal(first['label'], second['label'])


@source_kinds
@pytest.mark.parametrize('processes', [1, 2])
def test_evaluation_is_one_pass_in_order(kind, processes):
  source = SOURCES[kind]()
  keywords = dict(batch_size=8, process_count=processes)
  parts = [
    list(pipeline.eval_batches(source, process_index=i, **keywords)) for i in range(processes)
  ]
  batches = merged(parts)
  assert {batch['image'].shape[0] for batch in batches} == {8}
  mask = np.concatenate([batch['mask'] for batch in batches])
  labels = np.concatenate([batch['label'] for batch in batches])
  np.testing.assert_array_equal(labels[mask], np.arange(len(source)))
  index = np.concatenate([batch['index'] for batch in batches])
  np.testing.assert_array_equal(index, np.arange(len(index)))
  np.testing.assert_array_equal(mask, np.arange(len(mask)) < len(source))
  images = np.concatenate([batch['image'] for batch in batches])
  assert not images[~mask].any()


def test_evaluation_of_full_batches_has_no_padding():
  batches = list(pipeline.eval_batches(arrays(24), batch_size=8))
  assert len(batches) == 3 and all(batch['mask'].all() for batch in batches)


@pytest.mark.parametrize('workers', [0, 1])
def test_unreadable_pictures_are_masked_named_once_and_counted(workers, caplog):
  source = Noise(corrupt={4, 9})
  batches = pipeline.train_batches(source, batch_size=20, seed=0, workers=workers, max_corrupt=0.1)
  seen = list(itertools.islice(batches, 4))
  assert batches.corrupt == {4, 9}
  batches.close()
  masked = sum(int((~batch['mask']).sum()) for batch in seen)
  assert masked == 4  # two epochs of 40
  for batch in seen:
    assert not batch['image'][~batch['mask']].any()
    assert not np.isin(batch['label'][batch['mask']], [4, 9]).any()
  messages = [record.getMessage() for record in caplog.records]
  for name in ('noise-4', 'noise-9'):
    assert sum(f'{name}: damaged' in message for message in messages) == 1


@pytest.mark.parametrize('workers', [0, 1])
def test_too_many_unreadable_pictures_stop_the_run(workers):
  batches = pipeline.train_batches(
    Noise(corrupt={4, 9, 30}), batch_size=20, seed=0, workers=workers, max_corrupt=0.05
  )
  with pytest.raises(UserError, match=r'3 of 40 examples are unreadable.*0.05.*noise-\d+: damaged'):
    take(batches, 2)
  batches.close()


def test_unreadable_pictures_count_in_evaluation_too():
  batch, *_ = pipeline.eval_batches(Noise(corrupt={1}), batch_size=40, max_corrupt=0.5)
  np.testing.assert_array_equal(np.flatnonzero(~batch['mask']), [1])
  with pytest.raises(UserError, match='1 of 40.*max_corrupt=0.0'):
    list(pipeline.eval_batches(Noise(corrupt={1}), batch_size=40, max_corrupt=0.0))


def test_a_split_without_any_readable_picture_is_refused_at_once():
  with pytest.raises(UserError, match='none of the first 40 pictures.*noise-39: damaged'):
    pipeline.train_batches(Noise(corrupt=set(range(40))), batch_size=8, seed=0)


@pytest.mark.parametrize('workers', [0, 1])
def test_other_errors_come_through(workers):
  source = Noise(raises={5: UserError('example 5 has label -1')})
  batches = pipeline.train_batches(source, batch_size=20, seed=0, workers=workers)
  with pytest.raises(UserError, match='label -1'):
    take(batches, 2)
  batches.close()


def test_a_loaded_split_gives_the_same_batches(caplog):
  lazy = Noise(corrupt={4, 9})
  loaded = pipeline.Loaded(lazy)
  assert not caplog.records  # nothing is read before it is used
  assert len(loaded.arrays['label']) == 40
  assert sum('noise-4: damaged' in record.getMessage() for record in caplog.records) == 1
  keywords = dict(batch_size=16, seed=0, max_corrupt=0.1)
  assert_equal(
    take(pipeline.train_batches(loaded, **keywords), 6),
    take(pipeline.train_batches(lazy, **keywords), 6),
  )
  keywords = dict(batch_size=16, max_corrupt=0.1)
  assert_equal(
    list(pipeline.eval_batches(loaded, **keywords)), list(pipeline.eval_batches(lazy, **keywords))
  )
  with pytest.raises(UserError, match='1 of 40 .*noise-4'):
    list(pipeline.eval_batches(loaded, batch_size=16, max_corrupt=0.01))


@pytest.mark.parametrize(
  ('call', 'words'),
  [
    (lambda: pipeline.train_batches(arrays(7), batch_size=8, seed=0), '7 examples, fewer than'),
    (lambda: pipeline.train_batches(arrays(), batch_size=0, seed=0), 'batch_size=0'),
    (
      lambda: pipeline.train_batches(arrays(), batch_size=6, seed=0, process_count=4),
      'batch_size=6 cannot be divided among 4',
    ),
    (
      lambda: pipeline.eval_batches(arrays(), batch_size=6, process_count=4),
      'batch_size=6 cannot be divided among 4',
    ),
    (lambda: pipeline.eval_batches(arrays(0), batch_size=6), 'empty'),
  ],
)
def test_refuses(call, words):
  with pytest.raises(UserError, match=words) as caught:
    call()
  assert str(caught.value).count('\n') < 3


def test_closed_batches_are_exhausted_and_close_twice():
  batches = pipeline.train_batches(arrays(), batch_size=8, seed=0)
  next(batches)
  batches.close()
  batches.close()
  assert list(batches) == []


@source_kinds
def test_sources_are_picklable(kind):
  source = SOURCES[kind]()
  copy = pickle.loads(pickle.dumps(source))
  np.testing.assert_array_equal(copy[3]['image'], source[3]['image'])


def test_image_error_survives_pickling():
  copy = pickle.loads(pickle.dumps(ImageError('damaged')))
  assert isinstance(copy, ImageError) and str(copy) == 'damaged'
