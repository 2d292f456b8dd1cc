"""Pairs of lines become rows of tokens; which are left out, and which are an error."""

import pickle

import numpy as np
import pytest
from _helpers import text

from vitlab.data import sentences, tokenizers
from vitlab.data import splits as splits_lib
from vitlab.data.sentences import Lines, Sentences
from vitlab.errors import UserError

BUCKETS = (8, 24, 64)


def lines(count=100, seed=0, **change):
  source, target = text.sentences(count, seed)
  for side, edits in change.items():
    for i, line in edits.items():
      (source if side == 'source' else target)[i] = line
  return Lines(source, target, 'corpus')


def made(buckets=BUCKETS, **splits):
  return sentences.parallel(splits, 'bpe', 310, buckets)


def texts(dataset, split):
  vocabulary = tokenizers.from_text(dataset.facts['tokenizer'])
  return [
    tuple(vocabulary.decode(example[key]) for key in ('tokens', 'targets'))
    for example in map(dataset.splits[split].__getitem__, range(len(dataset.splits[split])))
  ]


def test_examples_are_the_lines():
  train, test = lines(), lines(20, seed=1)
  dataset = made(train=train, test=test)
  assert texts(dataset, 'train') == list(zip(*train[:2]))
  assert texts(dataset, 'test') == list(zip(*test[:2]))
  assert dataset.facts['vocab_size'] == len(dataset.facts['vocabulary']) == 310


def test_a_split_knows_its_lengths():
  rows = [np.arange(1, n + 1, dtype=np.int32) for n in (3, 1, 5)]
  split = Sentences(dict(tokens=rows, targets=rows[::-1]), (4, 8))
  assert split.lengths.tolist() == [5, 1, 5] and split.buckets == (4, 8) and len(split) == 3
  again = pickle.loads(pickle.dumps(split))
  for i in (0, 1, 2, -1):
    np.testing.assert_array_equal(again[i]['tokens'], rows[i])
    np.testing.assert_array_equal(again[i]['targets'], rows[::-1][i])
  with pytest.raises(IndexError):
    split[3]


def test_parts_of_splits_keep_their_lengths():
  dataset = made(train=lines(), test=lines(20, seed=1))
  part = splits_lib.select(dataset, 'train[10:30]+test[:5]')
  train, test = dataset.splits['train'], dataset.splits['test']
  np.testing.assert_array_equal(part.lengths, [*train.lengths[10:30], *test.lengths[:5]])
  assert part.buckets == BUCKETS
  np.testing.assert_array_equal(part[20]['tokens'], test[0]['tokens'])


def test_pairs_with_an_empty_side_are_left_out_of_training(caplog):
  dataset = made(train=lines(source={3: ' ', 7: ''}, target={7: '', 9: '\t'}))
  assert len(dataset.splits['train']) == 97
  assert 'corpus: 3 pairs with an empty side are left out, the first is line 4' in caplog.text


def test_long_pairs_are_left_out_of_training(caplog):
  long = ' '.join(['wall'] * 90)
  dataset = made(train=lines(target={5: long}))
  assert len(dataset.splits['train']) == 99
  assert 'corpus: 1 of 100 pairs have more than 64 tokens and are left out' in caplog.text
  assert dataset.splits['train'].lengths.max() <= 64


def test_nothing_is_left_out_of_a_test_set():
  long = ' '.join(['wall'] * 90)
  dataset = made(train=lines(), test=lines(20, target={5: long}))
  split = dataset.splits['test']
  assert len(split) == 20 and split.buckets[:3] == BUCKETS
  assert split.lengths.max() <= split.buckets[3] < split.lengths.max() + 8


@pytest.mark.parametrize(
  'splits, named',
  [
    (dict(train=Lines(['a'], ['b', 'c'], 'x and y')), 'x and y: 1 lines and 2 lines do not pair'),
    (dict(train=lines(), test=lines(9, source={4: ''})), 'corpus: line 5 is empty'),
    (dict(test=lines()), "a vocabulary is learned from the split 'train'"),
  ],
)
def test_lines_that_cannot_be_used(splits, named):
  with pytest.raises(UserError, match=named):
    made(**splits)


def test_no_pair_that_is_short_enough():
  with pytest.raises(UserError, match='corpus: every pair has more than 2 tokens'):
    made(buckets=(2,), train=lines())


@pytest.mark.parametrize('buckets', [(), (16, 8), (8, 8), (1, 4)])
def test_lengths_that_cannot_be(buckets):
  with pytest.raises(UserError, match='ascending'):
    made(buckets=buckets, train=lines())


def test_the_lines_of_an_example_are_kept_to_the_letter():
  """Of what is trained on too, where some pairs are left out; and in other processes."""
  changed = {3: '', 5: 'dog ' * 70}
  train, test = lines(source=changed), lines(20, seed=1, target={4: ' CAT\u2581\u00a0x '})
  dataset = pickle.loads(pickle.dumps(made(train=train, test=test)))
  pairs = [dict(tokens=a, targets=b) for a, b in zip(*train[:2])]
  pairs = [pair for i, pair in enumerate(pairs) if i not in changed]
  split = dataset.splits['train']
  assert [split.text(i) for i in range(len(split))] == pairs
  part = splits_lib.select(dataset, 'train[10:20]+test[-16:]')
  assert part.text(0) == pairs[10] and part.text(10)['targets'] == ' CAT\u2581\u00a0x '
