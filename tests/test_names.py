import numpy as np
import pytest

from vitlab import names
from vitlab.errors import UserError

TREE = {'encoder': {'block_0': {'kernel': 1, 'bias': 2}}, 'head': {'kernel': 3}}
NAMES = ['encoder/block_0/bias', 'encoder/block_0/kernel', 'head/kernel']


def test_flatten_joins_paths():
  assert names.flatten(TREE) == {NAMES[0]: 2, NAMES[1]: 1, NAMES[2]: 3}


def test_mapper_reaches_what_is_left_of_a_tree():
  values = names.mapper({name: name.upper() for name in NAMES})
  assert values({'head': {'kernel': np.ones(2)}}) == {'head': {'kernel': 'HEAD/KERNEL'}}


def test_stacked_blocks_have_a_depth_axis():
  assert names.is_stacked('encoder/blocks/norm1/scale')
  assert not names.is_stacked('encoder/block_0/norm1/scale')
  assert not names.is_stacked('my_blocks/kernel')


def test_matching_searches():
  assert names.matching('kernel', NAMES, 'x') == set(NAMES[1:])
  assert names.matching('^head/', NAMES, 'x') == {'head/kernel'}


def test_matching_nothing_names_near_parameters():
  with pytest.raises(UserError, match=r"optim.freeze 'heat/kernel' matches none.*\n.*head/kernel"):
    names.matching('heat/kernel', NAMES, 'optim.freeze')


@pytest.mark.parametrize('regex', ['(', None, 3])
def test_what_is_no_expression_is_refused(regex):
  with pytest.raises(UserError, match='not a regular expression'):
    names.matching(regex, NAMES, 'optim.freeze')
