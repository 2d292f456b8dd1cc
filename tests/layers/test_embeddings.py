"""Patches and positions."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from vitlab.errors import UserError
from vitlab.layers.embeddings import (
  LearnedPositions,
  PatchEmbed,
  SinCosPositions,
  TokenEmbed,
  cut_patches,
  make_positions,
)
from vitlab.ops.positions import sincos_2d


def test_patch_embedding_is_a_strided_convolution():
  image = jax.random.normal(jax.random.key(0), (2, 8, 12, 3))
  layer = PatchEmbed(5, (4, 2))
  variables = layer.init(jax.random.key(1), image)
  params = jax.tree.map(lambda p: p + 0.1, variables['params'])
  dims = ('NHWC', 'HWIO', 'NHWC')
  expected = jax.lax.conv_general_dilated(
    image, params['kernel'], (4, 2), 'VALID', dimension_numbers=dims
  )
  got = layer.apply({'params': params}, image)
  np.testing.assert_allclose(got, expected + params['bias'], atol=1e-5)


def test_patches_are_cut_row_by_row():
  image = jnp.arange(8 * 6.0).reshape(1, 8, 6, 1)
  patches = cut_patches(image, (4, 2))
  assert patches.shape == (1, 2, 3, 4, 2, 1)
  np.testing.assert_array_equal(patches[0, 1, 2], image[0, 4:8, 4:6])


def test_a_cut_patch_is_refused():
  with pytest.raises(UserError, match='8×10 pixels is not a whole number of patches of 4×4'):
    PatchEmbed(5, (4, 4)).init(jax.random.key(0), jnp.ones((1, 8, 10, 3)))


@pytest.mark.parametrize(('stddev', 'expected'), [(None, 1 / 16), (0.02, 0.02)])
def test_learned_positions_start_as_asked(stddev, expected):
  layer = LearnedPositions(stddev=stddev)
  table = layer.init(jax.random.key(0), (8, 8), 0, 256)['params']['grid']
  assert abs(table.std() / expected - 1) < 0.05


@pytest.mark.parametrize('prefix', [True, False])
def test_learned_positions_of_prefix_and_grid(prefix):
  layer = LearnedPositions(prefix)
  variables = layer.init(jax.random.key(0), (2, 3), 2, 4)
  table = layer.apply(variables, (2, 3), 2, 4)
  assert table.shape == (8, 4)
  np.testing.assert_array_equal(table[2:].reshape(2, 3, 4), variables['params']['grid'])
  assert table[:2].any() == prefix
  assert ('prefix' in variables['params']) == prefix


def test_another_grid_is_refused_with_the_way_out():
  layer = LearnedPositions()
  variables = layer.init(jax.random.key(0), (2, 3), 0, 4)
  with pytest.raises(UserError, match='gives 3×2 patches.*learned on 2×3\nresample'):
    layer.apply(variables, (3, 2), 0, 4)


def test_fixed_positions_have_no_parameters_and_leave_the_prefix():
  table, variables = SinCosPositions().init_with_output(jax.random.key(0), (2, 3), 1, 8)
  assert not variables
  np.testing.assert_array_equal(table[0], 0)
  np.testing.assert_allclose(table[1:].reshape(2, 3, 8), sincos_2d((2, 3), 8), atol=1e-6)


def test_positions_by_name():
  grid = (2, 3)
  added = lambda layer: layer.init_with_output(jax.random.key(0), grid, 1, 8)  # noqa: E731
  for name, parameters in dict(learned={'grid', 'prefix'}, learned_patches={'grid'}).items():
    layer, angles = make_positions(name, 8, 2)
    assert set(added(layer)[1]['params']) == parameters and angles is None
  layer, angles = make_positions('sincos_2d', 8, 2)
  assert added(layer)[0].shape == (7, 8) and angles is None
  layer, angles = make_positions('rope_2d', 8, 2)
  assert layer is None and angles(grid).shape == (6, 2)
  assert make_positions('none', 8, 2) == (None, None)


@pytest.mark.parametrize(
  'arguments, message',
  [
    (('sincos', 8, 2), "unknown position_embedding 'sincos': did you mean sincos_2d"),
    (('sincos_2d', 10, 1), 'multiple of 4'),
    (('rope_2d', 12, 2), 'multiple of 4'),
  ],
)
def test_bad_positions_are_explained(arguments, message):
  with pytest.raises(UserError, match=message):
    make_positions(*arguments)


def test_tokens_have_vectors_and_vectors_tokens():
  layer, tokens = TokenEmbed(7, 4), jnp.array([[3, 0], [6, 3]])
  variables = layer.init(jax.random.key(0), tokens)
  table = np.asarray(variables['params']['embedding'])
  np.testing.assert_array_equal(layer.apply(variables, tokens), table[np.asarray(tokens)])
  x = jax.random.normal(jax.random.key(1), (2, 3, 4))
  logits = layer.apply(variables, x, method='logits')
  np.testing.assert_allclose(logits, np.asarray(x) @ table.T, rtol=1e-5, atol=1e-6)


def test_a_bias_is_added_to_logits_alone():
  plain, layer = TokenEmbed(7, 4), TokenEmbed(7, 4, logits_bias=True)
  variables = layer.init(jax.random.key(0), jnp.array([1]))
  assert not np.any(variables['params']['bias'])
  variables['params']['bias'] += jnp.arange(7.0)
  x = layer.apply(variables, jnp.array([1]))
  without = plain.apply(variables, x, method='logits')
  np.testing.assert_array_equal(plain.apply(variables, jnp.array([1])), x)
  got = layer.apply(variables, x, method='logits')
  np.testing.assert_allclose(got, without + np.arange(7), rtol=1e-6)


def test_half_precision_tokens_make_float32_logits():
  layer = TokenEmbed(7, 4, jnp.bfloat16)
  variables = layer.init(jax.random.key(0), jnp.array([1]))
  assert variables['params']['embedding'].dtype == jnp.float32
  x = layer.apply(variables, jnp.array([1]))
  assert x.dtype == jnp.bfloat16
  assert layer.apply(variables, x, method='logits').dtype == jnp.float32


def test_a_split_table_is_gathered_before_it_is_looked_up():
  """The lookup itself moves nothing: each device looks up the tokens of its examples."""
  layer, tokens = TokenEmbed(16, 8), jnp.arange(16).reshape(8, 2)
  variables = layer.init(jax.random.key(0), tokens)
  names = ('data', 'fsdp', 'model')
  mesh = jax.make_mesh((2, 2, 2), names, axis_types=(jax.sharding.AxisType.Auto,) * 3)
  split = jax.tree.map(lambda x: jax.device_put(x, NamedSharding(mesh, P(None, 'fsdp'))), variables)
  rows = jax.device_put(tokens, NamedSharding(mesh, P(('data', 'fsdp'))))
  with jax.set_mesh(mesh):
    compiled = jax.jit(layer.apply).lower(split, rows).compile()
  moved = re.findall(r'= \S+ (all-\w+|collective-permute)\(', compiled.as_text())
  assert moved == ['all-gather']
  np.testing.assert_array_equal(compiled(split, rows), layer.apply(variables, tokens))
