"""A table of names says where every parameter lies; what lies as torch's does need not be said."""

import numpy as np
import pytest

from vitlab.pretrained.assemble import Sides
from vitlab.pretrained.layouts import batched
from vitlab.pretrained.tables import LEAVES, below, by_table, column, lookup, torch_layout

TABLE = {'norm': 'ln', 'head': 'classifier', 'qkv': ('qk', 'v'), 'token': 'cls'}


def test_lookup_fills_numbers_and_leaves():
  table = {'layer_{}/block_{}/norm': 'layers.{}.blocks.{}.norm', 'token': 'cls_token'}
  assert lookup(table, 'params/layer_1/block_20/norm/scale') == ('layers.1.blocks.20.norm.weight',)
  assert lookup(table, 'params/token') == ('cls_token',)
  assert lookup(table, 'params/other/kernel') == ()
  assert LEAVES['var'] == 'running_var'


def test_tables_of_blocks_and_of_several_formats():
  rows = {'up': ('fc1', 'dense_in'), 'qkv': (('q', 'k', 'v'), None)}
  assert column(rows, 0) == {'up': 'fc1', 'qkv': ('q', 'k', 'v')}
  assert column(rows, 1) == {'up': 'dense_in'}
  found = below('block_{}/', 'h.{}.', column(rows, 0))
  assert found == {'block_{}/up': 'h.{}.fc1', 'block_{}/qkv': ('h.{}.q', 'h.{}.k', 'h.{}.v')}


@pytest.mark.parametrize(
  ('path', 'shape', 'theirs'),
  [
    ('params/conv/kernel', (3, 5, 7, 9), (9, 7, 3, 5)),
    ('params/attention/qkv/kernel', (8, 3, 2, 5), (30, 8)),
    ('params/pool/attention/kv/kernel', (8, 2, 2, 5), (20, 8)),
    ('params/attention/out/kernel', (2, 5, 8), (8, 10)),
    ('params/head/kernel', (8, 3), (3, 8)),
    ('params/attention/qkv/bias', (3, 2, 5), (30,)),
    ('batch_stats/norm/mean', (8,), (8,)),
  ],
)
def test_what_lies_as_torch_has_it(path, shape, theirs):
  assert torch_layout(path, shape).theirs(shape) == theirs


@pytest.mark.parametrize(
  ('theirs', 'name'),
  [
    ({}, 'vit.LN.weight'),
    ({'vit.ln.weight': ()}, 'vit.LN.weight'),
    ({'ln.weight': ()}, 'LN.weight'),
  ],
)
def test_only_the_bare_model_lacks_the_prefix_and_never_the_classifier_has_it(theirs, name):
  part_of = by_table(TABLE, prefix='vit.', rename=lambda name: name.replace('ln', 'LN'))
  part_of = part_of(Sides({}, theirs))
  assert part_of('params/norm/scale', (8,)).names == (name,)
  assert part_of('params/head/kernel', (8, 3)).names == ('classifier.weight',)
  assert part_of('params/other/kernel', (8, 3)) is None


def test_what_is_odd_is_found_by_the_end_of_its_path_and_sizes_are_of_several():
  part_of = by_table(TABLE, odd={'token': batched}, sizes=(2, 1))(Sides({}))
  assert part_of('params/token', (1, 8)).layout is batched
  assert part_of('params/qkv/bias', (3, 8)).lengths(6) == [4, 2]
  assert part_of('params/norm/scale', (8,)).lengths(6) == [6]
  array = np.arange(6.0).reshape(2, 3)
  layout = part_of('params/head/kernel', (2, 3)).layout
  np.testing.assert_array_equal(layout.to_ours(layout.to_theirs(array), (2, 3)), array)
