"""From what files say to a data set: one line counts what is odd, and the classes are a table."""

from collections import Counter

import numpy as np
import pytest
from _helpers.boxes import annotation

from vitlab.data import box_sets
from vitlab.data.box_sets import Found, Part
from vitlab.errors import UserError

HOW = dict(image_size=(6, 8), channels=3, test_fraction=0.5, split_seed=0, in_memory=False)


def part(*boxes, **flags):
  def read(number):
    raise AssertionError('nothing is read')

  truth = [
    annotation(rows, [0] * len(rows), 60, 80, f'{i}.png', i, **flags)
    for i, rows in enumerate(boxes)
  ]
  return Part(read, list(range(len(truth))), truth)


def found(names=('cat', 'dog'), ids=(1, 90), odd=None, **parts):
  return Found(list(names), list(ids), parts, Counter(odd))


BOX = [0.0, 0, 10, 10]


@pytest.mark.parametrize(('most', 'rows'), [(1, 4), (4, 4), (5, 8), (30, 32)])
def test_rows_are_as_many_as_the_fullest_picture_needs(most, rows):
  parts = dict(train=part([BOX]), val=part([BOX] * most))
  dataset = box_sets.dataset('here', found(**parts), **HOW)
  assert dataset.facts['max_objects'] == rows


def test_one_line_counts_and_a_table_names(caplog):
  box_sets._say.cache_clear()
  boxes = [[[0.0, 0, 10, 10], [-3, 0, 10, 10], [5, 5, 5, 9], [90, 0, 99, 9], [0, 0, 80.3, 9]], []]
  for _ in range(2):
    box_sets.dataset(
      'here', found(odd={'rows in vain': 2}, train=part(*boxes), val=part([BOX])), **HOW
    )
  line, table = [record.getMessage() for record in caplog.records]  # once: a report reads again
  assert line == (
    'here: train 2, val 1 pictures, 6 boxes, 5 at most in one; '
    'boxes without area, not learned from: 1; '
    'boxes outside of their picture, not learned from: 1; '
    'boxes cut at the edge of their picture: 1; '
    "pictures without objects: 1; rows in vain: 2; not in train: 'dog'"
  )
  assert table.endswith('1 → cat → 0, 90 → dog → 1')


def test_a_long_table_is_cut(caplog):
  box_sets._say.cache_clear()
  names = [f'class of things {i}' for i in range(80)]
  box_sets.dataset('here', found(names, range(1, 81), train=part([BOX]), val=part([BOX])), **HOW)
  lines = caplog.records[-1].getMessage().splitlines()
  assert len(lines) < 15 and lines[-1].endswith('and 50 more, in facts.json')
  assert max(map(len, lines)) <= 100 and '12 → class of things 11 → 11' in ' '.join(lines)


def test_a_picture_of_two_splits_counts_once(caplog):
  box_sets._say.cache_clear()
  one = part([BOX], [BOX])
  box_sets.dataset('here', found(train=one, trainval=one), **HOW)
  assert 'train 2, trainval 2 pictures, 2 boxes, ' in caplog.text


def test_a_held_out_part_without_boxes_says_what_it_is():
  with pytest.raises(UserError, match='0.5 of it held out by split_seed=.*not one box'):
    for seed in range(9):
      box_sets.dataset('here', found(train=part([BOX], [])), **HOW | dict(split_seed=seed))


@pytest.mark.parametrize(
  ('boxes', 'words'),
  [
    ([[np.nan, 0, 1, 1]], r'here: val: 0.png: box 1 \(.*nan.* holds .* NaN or infinite'),
    ([BOX, [9, 0, 8, 1]], 'box 2 .*9, 0, 8, 1.* of negative size'),
    ([], "split 'val' has 1 pictures and not one box in them"),
  ],
)
def test_what_is_refused(boxes, words):
  with pytest.raises(UserError, match=words):
    box_sets.dataset('here', found(train=part([BOX]), val=part(boxes)), **HOW)


def test_a_split_without_pictures():
  with pytest.raises(UserError, match="split 'val' has no pictures"):
    box_sets.dataset('here', found(train=part([BOX]), val=part()), **HOW)
