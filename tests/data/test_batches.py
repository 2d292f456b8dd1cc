"""Examples of different lengths: few shapes, little padding, and a pure function of the step."""

import itertools

import numpy as np
import pytest
from _helpers.pictures import Noise

from vitlab.data import Dataset, pipeline, splits
from vitlab.data import batches as batches_lib
from vitlab.data.sentences import Sentences
from vitlab.data.sources import Arrays
from vitlab.errors import UserError

BUCKETS = (4, 8, 16)


def rows(count=100, seed=0):
  """Whose tokens are their own number."""
  lengths = np.random.default_rng(seed).integers(1, 17, count)
  return [np.full(n, i + 1, np.int32) for i, n in enumerate(lengths)]


def source(count=100):
  return Sentences(dict(tokens=rows(count), targets=rows(count, seed=1)), BUCKETS)


def take(batches, count):
  taken = list(itertools.islice(batches, count))
  batches.close()
  return taken


def numbers(batch):
  return batch['tokens'][:, 0] - 1


def test_a_batch_holds_its_examples_and_zeros():
  sentences = source()
  for batch in take(pipeline.train_batches(sentences, batch_size=7, seed=0), 30):
    length = int(sentences.lengths[numbers(batch)].max())
    assert batch['tokens'].shape == batch['targets'].shape
    assert batch['tokens'].shape[1] == min(n for n in BUCKETS if n >= length)
    for row, number in enumerate(numbers(batch)):
      for key, wanted in sentences[int(number)].items():
        np.testing.assert_array_equal(batch[key][row, : len(wanted)], wanted)
        assert not batch[key][row, len(wanted) :].any()


class Judged(Sentences):
  """Rows of tokens, each with a number beside it."""

  def __getitem__(self, index):
    return {**super().__getitem__(index), 'label': np.int32(index % 3)}


def test_a_number_beside_the_rows_is_none_of_them():
  sentences = Judged(dict(tokens=rows()), BUCKETS)
  assert batches_lib.shapes(sentences, 8) == {'tokens': ((8,), np.int32), 'label': ((), np.int32)}
  (batch, *_) = take(pipeline.train_batches(sentences, batch_size=7, seed=0), 1)
  np.testing.assert_array_equal(batch['label'], numbers(batch) % 3)
  part = splits.select(Dataset(dict(train=sentences), {}), 'train[10:20]')
  (batch,) = take(pipeline.eval_batches(part, batch_size=16), 2)
  assert (
    batch['label'][:10].tolist() == [i % 3 for i in range(10, 20)] and batch['mask'].sum() == 10
  )


def test_every_epoch_holds_every_example_once():
  batches = take(pipeline.train_batches(source(96), batch_size=8, seed=1), 36)
  epochs = np.concatenate([numbers(batch) for batch in batches]).reshape(3, 96)
  np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.arange(96), (3, 1)))
  assert len({epoch.tobytes() for epoch in epochs}) == 3


def test_batches_are_of_similar_lengths_in_random_order():
  sentences = source(2000)
  batches = take(pipeline.train_batches(sentences, batch_size=20, seed=0), 60)
  lengths = [sentences.lengths[numbers(batch)] for batch in batches]
  assert np.mean([np.ptp(row) for row in lengths]) < 2
  longest = np.array([row.max() for row in lengths])
  assert abs(np.corrcoef(longest[:-1], longest[1:])[0, 1]) < 0.4


def test_it_starts_anywhere_and_seeds_differ():
  whole = take(pipeline.train_batches(source(), batch_size=8, seed=1), 30)
  for start in (1, 11, 12, 25):
    rest = take(pipeline.train_batches(source(), batch_size=8, seed=1, start=start), 30 - start)
    for a, b in zip(rest, whole[start:], strict=True):
      np.testing.assert_array_equal(a['tokens'], b['tokens'])
  other = take(pipeline.train_batches(source(), batch_size=8, seed=2), 30)
  assert any(not np.array_equal(numbers(a), numbers(b)) for a, b in zip(whole, other))


@pytest.mark.parametrize('evaluation', [False, True])
def test_processes_share_batches_of_one_shape(evaluation):
  """Also where the longest sentence of a batch is another process's."""

  def batches(**share):
    if evaluation:
      return list(pipeline.eval_batches(source(), batch_size=8, **share))
    return take(pipeline.train_batches(source(), batch_size=8, seed=3, **share), 20)

  parts = [batches(process_index=i, process_count=4) for i in range(4)]
  for alone, *shares in zip(batches(), *parts, strict=True):
    for key in alone:
      np.testing.assert_array_equal(np.concatenate([s[key] for s in shares]), alone[key])


def test_evaluation_keeps_the_order():
  batches = list(pipeline.eval_batches(source(), batch_size=16))
  kept = np.concatenate([numbers(batch)[batch['mask']] for batch in batches])
  np.testing.assert_array_equal(kept, np.arange(100))
  assert sum(int((~batch['mask']).sum()) for batch in batches) == 12


@pytest.mark.parametrize(
  'split, wanted',
  [
    (source(), dict(tokens=((16,), np.int32), targets=((16,), np.int32))),
    (Arrays(dict(image=np.zeros((3, 2, 2, 1), np.uint8))), dict(image=((2, 2, 1), np.uint8))),
    (Noise(), None),
  ],
)
def test_shapes_are_those_of_batches(split, wanted):
  shapes = batches_lib.shapes(split)
  assert wanted is None or shapes == {k: (s, np.dtype(t)) for k, (s, t) in wanted.items()}
  batch = take(pipeline.eval_batches(split, batch_size=2), 1)[0]
  for key, (shape, dtype) in shapes.items():
    assert batch[key].dtype == dtype
    assert all(x <= most for x, most in zip(batch[key].shape[1:], shape, strict=True))


class Lanes(Arrays):
  """A split whose rows go on where those of the batch before ended."""

  def order(self, step, batch_size, seed):
    del seed
    length = len(self) // batch_size
    return np.arange(batch_size) * length + step % length


def test_a_source_may_say_its_own_order():
  split = Lanes(dict(tokens=np.arange(12)[:, None]))
  batches = take(pipeline.train_batches(split, batch_size=3, seed=5, start=1), 4)
  seen = [batch['tokens'][:, 0].tolist() for batch in batches]
  assert seen == [[1, 5, 9], [2, 6, 10], [3, 7, 11], [0, 4, 8]]
  halves = [
    take(pipeline.train_batches(split, batch_size=4, seed=5, process_index=i, process_count=2), 1)
    for i in range(2)
  ]
  assert np.concatenate([part[0]['tokens'][:, 0] for part in halves]).tolist() == [0, 3, 6, 9]
  dataset = Dataset(dict(train=split), {})
  assert splits.select(dataset, 'train') is split
  with pytest.raises(UserError, match='order of their own'):
    splits.select(dataset, 'train[:6]')


class Gathered:
  """A split that stacks examples faster than one by one."""

  def __len__(self):
    return 10

  def __getitem__(self, index):
    return {key: rows[0] for key, rows in self.gather(np.array([index])).items()}

  def gather(self, numbers):
    return dict(tokens=np.stack([numbers, numbers**2], axis=1))


def test_a_source_may_gather_its_examples_itself():
  batches = list(pipeline.eval_batches(Gathered(), batch_size=4))
  tokens = np.concatenate([batch['tokens'] for batch in batches])
  np.testing.assert_array_equal(tokens[:10, 1], np.arange(10) ** 2)
  assert tokens.shape == (12, 2) and not tokens[10:].any()
  assert [batch['mask'].sum() for batch in batches] == [4, 4, 2]
