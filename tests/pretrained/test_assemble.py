"""Filling a tree from named tensors and back; what does not fit is named, shortly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.pretrained.assemble import Part, assemble, disassemble, shapes
from vitlab.pretrained.layouts import flat, linear, reshaped, same
from vitlab.pretrained.tables import lookup

LIKE = {'params': {'a': {'x': jax.ShapeDtypeStruct((2,), jnp.float32)}}}


def own_name(path, shape):
  return Part((path,), same)


def test_takes_the_types_of_the_model():
  tree = assemble(LIKE, {'params/a/x': np.ones(2, np.float16)}, own_name)
  assert tree['params']['a']['x'].dtype == jnp.float32
  np.testing.assert_array_equal(tree['params']['a']['x'], 1)


def test_many_problems_are_counted_not_listed():
  like = {f'p{i}': jnp.ones(2) for i in range(9)}
  with pytest.raises(UserError, match='missing: p0, p1, p2, p3, p4, p5 and 3 more\nunused: q'):
    assemble(like, {'q': np.ones(2)}, own_name)


def test_a_parameter_without_a_name_is_missing_and_a_short_tensor_misshapen():
  like = LIKE | {'more': jnp.ones(3)}
  part_of = lambda path, shape: own_name(path, shape) if 'a/x' in path else None  # noqa: E731
  with pytest.raises(
    UserError, match=r'missing: more\nmisshapen: params/a/x \(3,\), needed \(2,\)'
  ):
    assemble(like, {'params/a/x': np.ones(3)}, part_of)


def test_ignored_tensors_are_not_left_over():
  tensors = {'params/a/x': np.ones(2), 'pooler.weight': np.ones(9)}
  assert shapes(assemble(LIKE, tensors, own_name, ignored=r'pooler\.')) == {'params/a/x': (2,)}


def test_parameters_left_out_are_absent():
  like = {'params': {'body': jnp.ones(2), 'head': jnp.ones(3)}}
  tensors = {'params/body': np.ones(2), 'params/head': np.ones(7)}  # another number of classes
  tree = assemble(like, tensors, own_name, left_out='params/head')
  assert shapes(tree) == {'params/body': (2,)}


TREE = {
  'params': {
    'stage_1': {'blocks': {'qkv': np.arange(24.0).reshape(2, 2, 3, 1, 2)}},
    'positions': {'first': np.arange(2.0).reshape(1, 2), 'rest': np.arange(6.0).reshape(3, 2)},
  },
  'batch_stats': {'mean': np.arange(3.0)},
}


def odd_names(path, shape):
  """Scanned blocks, three tensors in one of ours, two of ours in one tensor."""
  names = lookup(
    {
      'stage_{}/block_{}/qkv': ('s{}.b{}.q', 's{}.b{}.k', 's{}.b{}.v'),
      'positions/first': 'pos',
      'positions/rest': 'pos',
      'mean': 'running_mean',
    },
    path,
  )
  if 'positions' in path:
    take = slice(0, 1) if path.endswith('first') else slice(1, None)
    rows = reshaped(lambda shape: shape)._replace(
      theirs=lambda shape: (None, shape[1]),
      to_ours=lambda array, _: array[take],
      share=(0, int(path.endswith('rest'))),
    )
    return Part(names, rows)
  return Part(names, linear() if 'qkv' in path else flat)


def test_there_and_back_is_bit_identical():
  tensors = disassemble(TREE, odd_names)
  assert {name: array.shape for name, array in tensors.items()} == {
    's1.b0.q': (2, 2),
    's1.b0.k': (2, 2),
    's1.b0.v': (2, 2),
    's1.b1.q': (2, 2),
    's1.b1.k': (2, 2),
    's1.b1.v': (2, 2),
    'pos': (4, 2),
    'running_mean': (3,),
  }
  again = assemble(TREE, tensors, odd_names)
  assert jax.tree.structure(again) == jax.tree.structure(TREE)
  jax.tree.map(np.testing.assert_array_equal, again, TREE)


def test_tensors_of_unequal_length_make_one_parameter():
  part_of = lambda path, shape: Part(('qk', 'v'), linear(), sizes=(2, 1))  # noqa: E731
  tree = {'qkv': np.arange(12.0).reshape(2, 3, 2)}
  tensors = disassemble(tree, part_of)
  np.testing.assert_array_equal(tensors['qk'], tree['qkv'][:, :2].reshape(2, 4).T)
  np.testing.assert_array_equal(tensors['v'], tree['qkv'][:, 2].T)
  np.testing.assert_array_equal(assemble(tree, tensors, part_of)['qkv'], tree['qkv'])
  with pytest.raises(UserError, match=r'misshapen: qk \(3, 2\) v \(3, 2\), needed \(6, 2\)'):
    assemble(tree, {'qk': np.ones((3, 2)), 'v': np.ones((3, 2))}, part_of)


def test_a_parameter_that_the_format_cannot_hold_is_named():
  with pytest.raises(UserError, match='no place for these parameters: a/rope'):
    disassemble({'a': {'rope': np.ones(2)}}, lambda path, shape: None)
