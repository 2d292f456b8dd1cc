"""Splits of pictures with boxes: what they hold, how they are batched, what parts of them keep."""

import itertools
import pickle

import jax
import numpy as np
import pytest
from _helpers.boxes import SIZES, annotation, pictures
from _helpers.pictures import noise

from vitlab.data import Dataset, pipeline, splits
from vitlab.data import batches as batches_lib
from vitlab.data.annotated import AnnotatedArrays
from vitlab.data.identity import digest_of
from vitlab.data.pictures import ImageError


def take(batches, count):
  taken = list(itertools.islice(batches, count))
  batches.close()
  return taken


def number(row):
  """The box of picture i is of class i."""
  return row['classes'][0]


def rows(batch):
  return [{key: x[i] for key, x in batch.items()} for i in np.flatnonzero(batch['mask'])]


def check(row, source):
  """That a row of a batch is its example: padded, its box on the upper left quarter."""
  example = source[int(number(row))]
  height, width = row['size']
  np.testing.assert_array_equal(row['image'][:height, :width], example['image'])
  assert not row['image'][height:].any() and not row['image'][:, width:].any()
  np.testing.assert_allclose(row['boxes'][0], [0, 0, width / 2, height / 2], rtol=1e-6)
  assert not row['boxes'][1:].any() and (row['classes'][1:] == -1).all()


def test_an_example():
  example = pictures()[6]
  assert {key: (x.shape, x.dtype) for key, x in example.items()} == dict(
    image=((6, 8, 3), np.uint8),
    size=((2,), np.int32),
    boxes=((4, 4), np.float32),
    classes=((4,), np.int32),
  )
  np.testing.assert_array_equal(pictures()[0]['image'], noise(6, 8, 3, seed=0))


def test_training_batches_are_of_one_orientation():
  source = pictures()
  seen = set()
  for batch in take(pipeline.train_batches(source, batch_size=2, seed=0), 21):
    numbers = {int(number(row)) for row in rows(batch)}
    tall = [SIZES[n][0] > SIZES[n][1] for n in numbers]
    assert len(set(tall)) == 1
    assert batch['image'].shape[1:3] == ((8, 6) if tall[0] else (6, 8))
    for row in rows(batch):
      check(row, source)
    seen |= numbers
  assert seen == set(range(len(SIZES)))


def test_an_evaluation_batch_takes_the_smallest_shape_that_covers_it():
  source = pictures()
  batches = list(pipeline.eval_batches(source, batch_size=2))
  shapes = [batch['image'].shape[1:3] for batch in batches]
  assert shapes == [(6, 8), (8, 6), (8, 8), (6, 8)]
  found = [row for batch in batches for row in rows(batch)]
  assert [int(number(row)) for row in found] == [int(row['index']) for row in found]
  assert len(found) == len(SIZES)
  for row in found:
    check(row, source)


def test_as_many_programs_as_shapes():
  """Compilations of a function over epochs of training and evaluation."""
  source = pictures()
  step = jax.jit(lambda batch: batch['image'].sum())
  for batch in take(pipeline.train_batches(source, batch_size=2, seed=0), 40):
    step({key: batch[key] for key in ('image', 'size', 'boxes', 'classes', 'mask')})
  assert step._cache_size() == 2
  step = jax.jit(lambda batch: batch['image'].sum())
  for size in (1, 2, 3, 7):
    for batch in pipeline.eval_batches(source, batch_size=size):
      step(dict(image=batch['image'][:1]))
  assert step._cache_size() == 3


def test_one_square_shape_is_one_program_in_the_order_of_any_set():
  source = pictures(image_size=(8, 8))
  batches = take(pipeline.train_batches(source, batch_size=7, seed=3), 2)
  assert {batch['image'].shape for batch in batches} == {(7, 8, 8, 3)}
  assert all(sorted(map(int, map(number, rows(batch)))) == list(range(7)) for batch in batches)
  assert batches_lib.alike(source) and not batches_lib.alike(pictures())


def test_the_planned_batch_is_the_largest():
  assert batches_lib.shapes(pictures())['image'] == ((8, 8, 3), np.uint8)
  assert batches_lib.shapes(pictures(image_size=(6, 6)))['image'] == ((6, 6, 3), np.uint8)
  assert batches_lib.shapes(pictures())['boxes'] == ((4, 4), np.float32)


def test_a_split_of_one_orientation_has_one_shape():
  """Wide ones alone never need the square of both; a selection of both does."""
  wide, tall = pictures(sizes=((6, 8), (3, 8))), pictures(sizes=((8, 6), (8, 2)))
  assert batches_lib.alike(wide) and batches_lib.alike(tall)
  assert batches_lib.shapes(wide)['image'][0] == (6, 8, 3)
  assert batches_lib.shapes(tall)['image'][0] == (8, 6, 3)
  both = splits.select(Dataset(dict(train=wide, test=tall), {}), 'train+test')
  assert batches_lib.shapes(both)['image'][0] == (8, 8, 3)
  (batch,) = pipeline.eval_batches(both, batch_size=4)
  assert batch['image'].shape == (4, 8, 8, 3)
  for row, number in zip(rows(batch), (0, 1, 0, 1)):
    assert row['classes'][0] == number and row['size'].max() == 8


@pytest.mark.parametrize('processes', [2, 4])
def test_processes_share_the_batch_of_one(processes):
  """Also where the rows of a process alone would need a smaller shape."""
  whole = take(pipeline.train_batches(pictures(), batch_size=4, seed=1, start=5), 6)
  whole += list(pipeline.eval_batches(pictures(), batch_size=4))
  parts = []
  for index in range(processes):
    about = dict(batch_size=4, process_index=index, process_count=processes)
    mine = take(pipeline.train_batches(pictures(), seed=1, start=5, **about), 6)
    parts.append(mine + list(pipeline.eval_batches(pictures(), **about)))
  for batch, *pieces in zip(whole, *parts):
    for key in batch:
      np.testing.assert_array_equal(np.concatenate([p[key] for p in pieces]), batch[key])


def test_any_step_can_be_asked_for():
  batches = take(pipeline.train_batches(pictures(), batch_size=2, seed=0), 9)
  (later,) = take(pipeline.train_batches(pictures(), batch_size=2, seed=0, start=8), 1)
  for key, array in batches[8].items():
    np.testing.assert_array_equal(later[key], array)


def test_a_damaged_picture_leaves_a_row_without_a_mask():
  source = pictures(damaged=[1])
  with pytest.raises(ImageError):
    source[1]
  (batch,) = pipeline.eval_batches(source, batch_size=7, max_corrupt=0.5)
  assert batch['mask'].tolist() == [True, False] + [True] * 5 and not batch['size'][1].any()


def test_a_part_keeps_truth_order_and_shapes():
  source = pictures()
  part = splits.select(Dataset(dict(train=source, test=pictures()), {}), 'train[1:4]+test[5:6]')
  assert [part.truth(i).image_id for i in range(4)] == [1, 2, 3, 5]
  assert part.shapes == source.shapes == ((6, 8), (8, 6), (8, 8))
  assert part.sizes.tolist() == source.sizes[[1, 2, 3, 5]].tolist()
  for batch in take(pipeline.train_batches(part, batch_size=2, seed=0), 8):
    assert batch['image'].shape[1:3] in {(6, 8), (8, 6)}
    for row in rows(batch):
      check(row, source)


def test_it_travels_to_worker_processes():
  source = pickle.loads(pickle.dumps(pictures()))
  np.testing.assert_array_equal(source[2]['image'], pictures()[2]['image'])


def test_kept_pictures_are_decoded_once():
  source = pictures(in_memory=True)
  first = source[3]
  source._read = None
  np.testing.assert_array_equal(source[3]['image'], first['image'])
  with pytest.raises(TypeError):
    source[4]


def test_the_identity_knows_names_and_boxes():
  one, same = pictures(), pictures()
  other = pictures()
  other._annotations[2] = other._annotations[2]._replace(boxes=np.array([[0.0, 0, 2, 2]]))
  renamed = pictures()
  renamed._annotations[2] = renamed._annotations[2]._replace(name='x.png')
  assert digest_of(one) == digest_of(same)
  assert len({digest_of(source) for source in (one, other, renamed)}) == 3


def test_in_memory_with_truth():
  truth = [annotation([[0, 0, i + 1, 2]], image_id=i, name=f'{i}.png') for i in range(5)]
  arrays = AnnotatedArrays(dict(image=np.arange(5)[:, None]), truth)
  assert arrays.describe(3) == '3.png' and arrays.truth(3).boxes[0, 2] == 4
  part = splits.select(Dataset(dict(train=arrays, test=arrays), {}), 'train[1:3]+test[4:]')
  assert [part.truth(i).image_id for i in range(3)] == [1, 2, 4]
  assert part.arrays['image'].ravel().tolist() == [1, 2, 4]
  assert part[2]['image'] == 4
