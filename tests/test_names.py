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


@pytest.mark.parametrize(
  'name, block',
  [
    ('encoder/block_10/mlp/up/kernel', ('encoder', 0, 10)),
    ('encoder/blocks/mlp/up/kernel', ('encoder', 0, None)),
    ('stage_2/block_3/conv1/kernel', ('', 2, 3)),
    ('backbone/stage_1/blocks/conv1/kernel', ('backbone', 1, None)),
    ('block_4/norm/scale', ('', 0, 4)),
    ('merging_1/reduction/kernel', None),
    ('my_blocks/kernel', None),
  ],
)
def test_a_block_has_its_stack_its_stage_and_its_number(name, block):
  assert names.block(name) == block


def test_equal_parameters_of_all_blocks_have_one_name():
  assert names.of_any_block('stage_0/block_12/norm1/scale') == 'stage_0/block_*/norm1/scale'
  assert names.of_any_block('my_block_1/scale') == 'my_block_1/scale'


# The module trees of GPT, BERT, DETR and a generator, as such models are usually written.
IN_FRONT = [
  *('token_embedding/embedding', 'position_embedding', 'segment_embedding/embedding'),
  *('embedding_norm/scale', 'mask_token', 'object_queries', 'backbone/stem/conv/kernel'),
  *('input_projection/kernel', 'stem/kernel', 'latent_embed/kernel'),
]
BEHIND = ['norm/scale', 'pool/probe', 'pooler/kernel', 'source/bias', 'position_bias/table']
HEADS = ['head/kernel', 'head_dist/bias', 'class_head/kernel', 'box_head/block/kernel']
INSIDE = ['decoder/block_0/position_embedding', 'encoder/blocks/talking_heads/kernel']


@pytest.mark.parametrize('name', IN_FRONT + BEHIND + HEADS + INSIDE)
def test_first_and_last_layers_are_told_by_their_modules_outside_the_blocks(name):
  assert names.is_input_layer(name) == (name in IN_FRONT)
  assert names.is_output_layer(name) == (name in HEADS)


def test_what_the_data_decide_of_a_model_follows_from_its_keywords():
  assert names.counted('vit') is names.CLASSES
  assert names.counted('transformer') is names.counted('gpt') is names.WORDS
  # A classifier of sentences keeps its words where the classes are others.
  assert names.counted('bert') is names.CLASSES


def test_tokens_that_a_classifier_may_read_come_in_the_order_of_the_model():
  assert names.class_tokens(['dist_token', 'registers', 'cls_token']) == ['cls_token', 'dist_token']
  assert names.class_tokens(['registers']) == []


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


def test_classes_move_and_what_stands_around_them_stays():
  order = [2, 0, 1]
  assert names.of_classes('head', 3, order) == order
  assert names.of_classes('class_head', 4, order) == [2, 0, 1, 3]  # DETR's, with 'no object'
  assert names.of_classes('region_class_head', 4, order) == [0, 3, 1, 2]  # behind background
  deltas = names.of_classes('region_delta_head', 16, order)
  assert deltas == [0, 1, 2, 3, 12, 13, 14, 15, 4, 5, 6, 7, 8, 9, 10, 11]


@pytest.mark.parametrize(
  ('path', 'count'),
  [
    ('head/kernel', 4),
    ('class_head/kernel', 3),
    ('region_class_head/kernel', 3),
    ('x/kernel', None),
  ],
)
def test_classes_are_counted_without_what_is_none(path, count):
  assert names.CLASSES.number({path: np.zeros((5, 4))}) == count
