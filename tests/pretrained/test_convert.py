"""Families and formats are found by name; options of an import."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers.specs import SENTENCES, SPECS, tree_of

from vitlab.errors import UserError
from vitlab.models import vit
from vitlab.pretrained import export_tensors, find_format, formats, import_tensors, transfer


def test_formats_are_found_by_name():
  assert {'timm', 'huggingface', 'augreg'} <= formats('vit').keys()
  with pytest.raises(
    UserError, match="unknown family of published weights 'vti': did you mean vit"
  ):
    formats('vti')
  with pytest.raises(UserError, match="unknown format of vit weights 'flax'"):
    find_format('vit', 'flax')


def test_the_spec_decides_where_names_cannot():
  model = vit.make('mu/8', 3, pool='gap_norm')
  like = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
  zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), like)
  tensors = export_tensors(zeros, 'vit', 'timm', dict(name='vit', pool='gap_norm'))
  assert 'fc_norm.weight' in tensors and 'norm.weight' not in tensors
  assert 'norm.weight' in export_tensors(zeros, 'vit', 'timm', dict(name='vit', pool='gap'))
  back = import_tensors(tensors, like, 'vit', 'timm')
  assert jax.tree.structure(back) == jax.tree.structure(zeros)


@pytest.mark.parametrize('scan', [False, True])
def test_a_tree_of_ours_in_the_shapes_of_another_model_of_ours(scan):
  spec = dict(name='vit', variant='mu/8', num_classes=3, depth=2)
  square = tree_of(spec, (16, 16), lambda shape: np.random.default_rng(0).normal(size=shape))
  wide = tree_of(spec | dict(scan=scan), (16, 40), np.zeros)
  got = transfer(square, wide, spec, image_size=(16, 16))
  assert got['params']['position_embedding']['grid'].shape == (2, 5, 32)
  back = transfer(got, square, spec, image_size=(16, 40))['params']
  for name, tree in square['params'].items():
    if name != 'position_embedding':
      jax.tree.map(np.testing.assert_array_equal, back[name], tree)
  assert 'head' not in transfer(square, wide, spec, image_size=(16, 16), head='new')['params']


@pytest.mark.parametrize('family', SPECS | SENTENCES)
def test_a_name_tells_one_format_from_all_others(family):
  families = SPECS | SENTENCES
  spec = families[family]
  tree = tree_of(spec, (64, 64), np.zeros)
  for name, table in formats(family).items():
    tensors = export_tensors(tree, family, name, spec)
    if name == 'dinov2':  # timm's names and one more: it is asked for before timm
      tensors['mask_token'] = np.zeros(1)
      assert list(formats(family)).index(name) < list(formats(family)).index('timm')
    recognised = {
      (other, kind)
      for other in families
      for kind, format in formats(other).items()
      if any(re.match(format.sign, tensor) for tensor in tensors)
    }
    assert table.sign and recognised - {('vit', 'timm')} == {(family, name)} - {('vit', 'timm')}
    assert name == 'dinov2' or recognised == {(family, name)}


@pytest.mark.parametrize('family', SPECS | SENTENCES)
def test_exported_arrays_lie_in_order_in_memory(family):
  spec = (SPECS | SENTENCES)[family]
  tree = tree_of(spec, (32, 32), lambda shape: np.random.default_rng(0).normal(size=shape))
  for format in formats(family):
    tensors = export_tensors(tree, family, format, spec)
    assert not [name for name, x in tensors.items() if not x.flags.c_contiguous]
