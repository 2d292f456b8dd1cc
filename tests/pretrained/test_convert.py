"""Families and formats are found by name; options of an import."""

import jax
import jax.numpy as jnp
import pytest

from vitlab.errors import UserError
from vitlab.models import vit
from vitlab.pretrained import export_tensors, find_format, formats, import_tensors


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
