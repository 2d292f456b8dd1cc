"""Slicing of splits: Python's rules, percents that always meet, errors that list the splits."""

import numpy as np
import pytest

from vitlab.data import Dataset, splits
from vitlab.data.sources import Arrays
from vitlab.errors import UserError


class Listed:
  """A split that is not in memory."""

  def __init__(self, values):
    self.values = list(values)

  def __len__(self):
    return len(self.values)

  def __getitem__(self, index):
    return dict(image=np.int64(self.values[index]))

  def describe(self, index):
    return f'file-{self.values[index]}'


def dataset(kind):
  make = Listed if kind == 'listed' else lambda values: Arrays(dict(image=np.array(values)))
  return Dataset(dict(train=make(range(103)), test=make(range(200, 217))), {})


def values(source):
  return [int(source[index]['image']) for index in range(len(source))]


TRAIN, TEST = list(range(103)), list(range(200, 217))


@pytest.mark.parametrize('kind', ['listed', 'arrays'])
@pytest.mark.parametrize(
  ('expression', 'expected'),
  [
    ('train', TRAIN),
    ('train[:]', TRAIN),
    ('train[:90%]', TRAIN[:93]),
    ('train[10:20]', TRAIN[10:20]),
    ('train[-5%:]', TRAIN[-5:]),
    ('train[-3:]', TRAIN[-3:]),
    ('train[:-100]', TRAIN[:-100]),
    ('train[5:100000]', TRAIN[5:]),
    ('train[:50%]+test', TRAIN[:52] + TEST),
    ('test[:2] + train[50%:51%] + test[-1:]', TEST[:2] + TRAIN[52:53] + TEST[-1:]),
    ('test|train', TEST),
    ('val|testing|train', TEST),
    ('train[:2]+val|test[:2]+train[:1]', TEST[:2] + TRAIN[:1]),
  ],
)
def test_selects(kind, expression, expected):
  selected = splits.select(dataset(kind), expression)
  assert values(selected) == expected
  assert hasattr(selected, 'arrays') == (kind == 'arrays')


@pytest.mark.parametrize('percent', range(0, 101, 7))
def test_percents_meet(percent):
  parts = [f'train[:{percent}%]'] * (percent > 0) + [f'train[{percent}%:]'] * (percent < 100)
  assert values(splits.select(dataset('listed'), '+'.join(parts))) == TRAIN


def test_a_whole_split_is_itself():
  data = dataset('listed')
  assert splits.select(data, 'train') is data.splits['train']


def test_selected_examples_keep_their_names():
  selected = splits.select(dataset('listed'), 'train[5:7]+test[3:]')
  assert [selected.describe(i) for i in range(3)] == ['file-5', 'file-6', 'file-203']


@pytest.mark.parametrize(
  ('expression', 'words'),
  [
    ('tain', 'did you mean train.*test, train'),
    ('valid[:10%]', "unknown split 'valid'.*test, train"),
    ('train[:x%]', 'cannot be read.*\n.*train, test'),
    ('train[10]', 'cannot be read'),
    ('train[:1.5%]', 'cannot be read'),
    ('', 'cannot be read'),
    ('train+', 'cannot be read'),
    ('val|dev', "unknown split 'val'.*test, train"),
    ('train[10:10]', "'train\\[10:10\\]' is empty: 'train' has 103"),
    ('train[200:]', 'is empty'),
    ('train[:0%]', 'is empty'),
    ('test+train[:0]', 'is empty'),
  ],
)
def test_refuses(expression, words):
  with pytest.raises(UserError, match=words) as caught:
    splits.select(dataset('arrays'), expression)
  assert str(caught.value).count('\n') < 3
