"""Position tables against their formulas; rotations against their law."""

import math

import _helpers.torchvision_shim  # noqa: F401
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from vitlab.ops.positions import (
  places_in_segments,
  resample,
  resample_bicubic,
  rope_1d,
  rope_2d,
  rotate,
  sincos_1d,
  sincos_2d,
  sincos_of_area,
)


def test_sincos_2d_is_its_formula():
  table = sincos_2d((2, 3), 12)
  for row, column in np.ndindex(2, 3):
    frequencies = [10_000 ** (-i / 2) for i in range(3)]
    expected = [f(p * w) for p in (column, row) for f in (math.sin, math.cos) for w in frequencies]
    np.testing.assert_allclose(table[row, column], expected, rtol=1e-12)


def test_rope_2d_is_its_formula():
  angles = rope_2d((2, 3), 8)
  assert angles.shape == (6, 4)
  for row, column in np.ndindex(2, 3):
    y, x = 2 * (row + 0.5) / 2 - 1, 2 * (column + 0.5) / 3 - 1
    expected = [2 * math.pi * p / period for p in (y, x) for period in (1, 10)]
    np.testing.assert_allclose(angles[3 * row + column], expected, rtol=1e-12)


@pytest.mark.parametrize('width', [4, 10])
def test_impossible_widths_are_refused(width):
  with pytest.raises(ValueError, match=f'the width {width}'):
    sincos_2d((2, 2), width)


def test_impossible_head_sizes_are_refused():
  with pytest.raises(ValueError, match='the head size 6'):
    rope_2d((2, 2), 6)
  with pytest.raises(ValueError, match='the head size 5'):
    rope_1d(jnp.arange(3), 5)


def test_rotation_keeps_lengths_and_what_is_nowhere():
  x = jax.random.normal(jax.random.key(0), (2, 3, 6, 8))
  turned = rotate(x, rope_2d((2, 3), 8))
  np.testing.assert_allclose(
    jnp.linalg.norm(turned, axis=-1), jnp.linalg.norm(x, axis=-1), rtol=1e-6
  )
  assert abs(turned - x).max() > 0.1
  np.testing.assert_array_equal(rotate(x, np.zeros((6, 4))), x)


def test_rotated_products_depend_on_the_offset_alone(x64):
  """The law of rotary embeddings: <R(p) q, R(p') k> is a function of p - p'."""
  grid = (4, 5)
  q, k = jax.random.normal(jax.random.key(0), (2, 8), jnp.float64)
  q, k = (rotate(jnp.broadcast_to(x, (20, 8)), rope_2d(grid, 8)) for x in (q, k))
  products = (q @ k.T).reshape(*grid, *grid)
  of_offset = {}
  for y, x, v, u in np.ndindex(*grid, *grid):
    of_offset.setdefault((y - v, x - u), []).append(float(products[y, x, v, u]))
  assert len(of_offset) == 7 * 9
  assert max(max(same) - min(same) for same in of_offset.values()) < 1e-12
  assert np.std([same[0] for same in of_offset.values()]) > 0.1


def test_rotation_equals_the_published_implementation(x64):
  """DINOv3's, in Hugging Face's words."""
  import torch
  from transformers.models.dinov3_vit import modeling_dinov3_vit as dinov3

  config = dinov3.DINOv3ViTConfig(hidden_size=32, num_attention_heads=2, patch_size=4)
  embedding = dinov3.DINOv3ViTRopePositionEmbedding(config).eval()  # else it is jittered
  cos, sin = embedding(torch.zeros(1, 3, 8, 12))
  q = torch.randn(1, 2, 9, 16)  # three tokens before the patches
  expected, _ = dinov3.apply_rotary_pos_emb(q, q, cos, sin)
  angles = np.pad(rope_2d((2, 3), 16), ((3, 0), (0, 0)))
  np.testing.assert_allclose(rotate(jnp.asarray(q.numpy()), angles), expected, atol=2e-6)


def test_rotation_of_16_bit_numbers_is_computed_in_float32():
  x = jax.random.normal(jax.random.key(0), (1, 1, 6, 8)).astype(jnp.bfloat16)
  turned = rotate(x, rope_2d((2, 3), 8))
  assert turned.dtype == jnp.bfloat16
  exact = rotate(x.astype(jnp.float32), rope_2d((2, 3), 8))
  np.testing.assert_array_equal(turned, exact.astype(jnp.bfloat16))


def test_resampling_keeps_constants_ramps_and_what_fits():
  table = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
  np.testing.assert_array_equal(resample(table, (3, 4)), table)
  np.testing.assert_allclose(resample(np.ones((3, 4, 2)), (5, 2)), 1, rtol=1e-6)
  ramp = np.broadcast_to(np.arange(8.0)[:, None, None], (8, 2, 1))
  got = resample(ramp, (16, 2), 'linear')[:, 0, 0]
  np.testing.assert_allclose(got[1:-1], (np.arange(16) + 0.5)[1:-1] / 2 - 0.5, atol=1e-6)


@pytest.mark.parametrize('offset', [0.0, 0.1])
@pytest.mark.parametrize('grid', [(16, 16), (5, 37), (40, 60)])
def test_bicubic_without_antialiasing_is_torch_s(grid, offset):
  table = np.random.default_rng(0).normal(size=(37, 37, 3))
  size = dict(size=grid)
  if offset:
    size = dict(scale_factor=tuple((n + offset) / 37 for n in grid))
  channels_first = torch.tensor(table.transpose(2, 0, 1)[None], dtype=torch.float32)
  expected = torch.nn.functional.interpolate(channels_first, mode='bicubic', **size)[0]
  got = resample_bicubic(table, grid, offset)
  np.testing.assert_allclose(got, expected.permute(1, 2, 0), atol=5e-6)
  assert abs(got - resample(table, grid)).max() > 0.1  # another filter


def test_a_sentence_has_sines_and_cosines_of_falling_frequency(x64):
  """The formula of the paper, number by number, in both layouts and from any position on."""
  for first in (0, 700):
    position = jnp.arange(first, first + 3)
    apart = sincos_1d(position, 6, dtype=jnp.float64)
    mixed = sincos_1d(position, 6, interleaved=True, dtype=jnp.float64)
    for t, i in np.ndindex(3, 3):
      angle = (first + t) / 10_000 ** (2 * i / 6)
      expected = [np.sin(angle), np.cos(angle)]
      np.testing.assert_allclose(mixed[t, 2 * i : 2 * i + 2], expected, atol=1e-12)
      np.testing.assert_allclose([apart[t, i], apart[t, i + 3]], expected, atol=1e-12)
  with pytest.raises(ValueError, match='5 is not even'):
    sincos_1d(position, 5)


def test_positions_of_a_valid_area_are_detr_s(x64):
  """Its code, from masks that are counted along both axes; and what it gives at one pixel."""
  counts, grid, width = [(4, 6), (3, 5), (4, 2)], (4, 6), 8
  mask = np.array([[[y < h and x < w for x in range(6)] for y in range(4)] for h, w in counts])
  frequency = 10_000 ** (2 * (np.arange(4) // 2) / 4)
  halves = []
  for axis in (1, 2):
    count = mask.cumsum(axis, dtype=float)
    angle = count / (count.take([-1], axis) + 1e-6) * 2 * np.pi
    angle = angle[..., None] / frequency
    parts = np.stack([np.sin(angle[..., 0::2]), np.cos(angle[..., 1::2])], axis=-1)
    halves.append(parts.reshape(3, 4, 6, 4))
  expected = np.concatenate(halves, axis=-1)
  found = np.asarray(sincos_of_area(jnp.array(counts), grid, width, jnp.float64))
  np.testing.assert_allclose(found[mask], expected[mask], atol=1e-12)
  probe = [1.3431e-06, -1, 0.031411, 0.999507, 0.866026, -0.499999, 0.020942, 0.999781]
  np.testing.assert_allclose(
    sincos_of_area(jnp.array([[2, 3]]), (2, 3), 8)[0, 0, 0], probe, atol=1e-6
  )


def test_queries_and_keys_of_a_text_turn_as_in_llama(x64):
  from transformers.models.llama import modeling_llama

  config = modeling_llama.LlamaConfig(hidden_size=16, num_attention_heads=2, rope_theta=10_000.0)
  random, place = np.random.default_rng(0), np.array([[0, 1, 2, 0], [5, 6, 900, 3]])
  q, k = random.normal(size=(2, 2, 2, 4, 8))
  rotary = modeling_llama.LlamaRotaryEmbedding(config)
  cos, sin = rotary(torch.tensor(q), torch.tensor(place))
  expected = modeling_llama.apply_rotary_pos_emb(torch.tensor(q), torch.tensor(k), cos, sin)
  angles = rope_1d(jnp.asarray(place)[:, None], 8, dtype=jnp.float64)
  for found, wanted in zip((rotate(jnp.asarray(x), angles) for x in (q, k)), expected):
    np.testing.assert_allclose(found, wanted, atol=2e-4)  # theirs are float32 angles


def test_places_start_again_with_every_document():
  segments = jnp.array([[1, 1, 1, 2, 2, 0, 0], [3, 4, 4, 4, 4, 4, 5], [0, 0, 0, 0, 0, 0, 0]])
  places = [[0, 1, 2, 0, 1, 0, 1], [0, 0, 1, 2, 3, 4, 0], [0, 1, 2, 3, 4, 5, 6]]
  np.testing.assert_array_equal(places_in_segments(segments), places)
