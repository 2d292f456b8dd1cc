"""Windows: cut and put together again, masks and indices against loops over pixels."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from vitlab.ops import windows

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
  ('size', 'window', 'shifted', 'expected'),
  [
    ((56, 56), 7, False, (7, 0)),
    ((56, 56), 7, True, (7, 3)),
    ((12, 8), 8, True, (8, 0)),  # the shorter side decides
    ((7, 7), 7, True, (7, 0)),
    ((6, 9), 7, True, (6, 0)),
    ((8, 9), 7, True, (7, 3)),
  ],
)
def test_a_map_no_larger_than_a_window_is_one(size, window, shifted, expected):
  assert windows.window_and_shift(size, window, shifted) == expected


def test_padding_is_zeros_at_the_bottom_and_on_the_right():
  x = RANDOM.normal(size=(2, 5, 8, 3))
  padded = windows.pad_to_multiple(jnp.asarray(x), 3, 4)
  assert padded.shape == (2, 6, 8, 3)
  np.testing.assert_allclose(padded[:, :5], x, rtol=1e-6)
  np.testing.assert_array_equal(padded[:, 5:], 0)


def test_windows_are_cut_row_by_row():
  x = jnp.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3).astype('float32')
  cut = windows.partition(x, 2)
  assert cut.shape == (2, 6, 4, 3)
  for g, t in itertools.product(range(6), range(4)):
    y, column = g // 3 * 2 + t // 2, g % 3 * 2 + t % 2
    np.testing.assert_array_equal(cut[:, g, t], x[:, y, column])
  np.testing.assert_array_equal(windows.reverse(cut, (4, 6)), x)


def test_a_shift_moves_up_and_left_and_back():
  x = jnp.asarray(RANDOM.normal(size=(1, 5, 6, 2)))
  moved = windows.cyclic_shift(x, 2)
  np.testing.assert_array_equal(moved[:, 0, 0], x[:, 2, 2])
  np.testing.assert_array_equal(moved[:, 4, 5], x[:, 1, 1])
  np.testing.assert_array_equal(windows.cyclic_shift(moved, -2), x)


@pytest.mark.parametrize('size', [(8, 12), (8, 8), (12, 4)])
@pytest.mark.parametrize(('window', 'shift'), [(4, 2), (4, 1), (2, 1)])
def test_the_mask_lets_neighbours_look(size, window, shift):
  """Against the nine regions of the paper's code."""
  region = np.zeros(size, int)
  cuts = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
  for number, (rows, columns) in enumerate(itertools.product(cuts, cuts)):
    region[rows, columns] = number
  region = np.asarray(windows.partition(jnp.asarray(region[None, ..., None], 'float32'), window))
  region = region[0, :, :, 0]
  expected = region[:, :, None] == region[:, None, :]
  np.testing.assert_array_equal(windows.shift_mask(size, window, shift), expected)


@pytest.mark.parametrize('size', [(8, 12), (16, 8)])
def test_the_mask_keeps_apart_what_only_the_shift_brought_together(size):
  """Where every token came from, and whether a window in its place could hold both."""
  came_from = np.stack(np.meshgrid(*map(np.arange, size), indexing='ij'), -1)[None].astype(
    'float32'
  )
  came_from = windows.partition(windows.cyclic_shift(jnp.asarray(came_from), 2), 4)[0]
  distance = np.abs(np.asarray(came_from[:, :, None] - came_from[:, None, :]))
  np.testing.assert_array_equal(windows.shift_mask(size, 4, 2), (distance < 4).all(-1))


@pytest.mark.parametrize('window', [1, 2, 3, 7])
def test_relative_positions_are_query_minus_key(window):
  index = windows.relative_position_index(window)
  places = list(itertools.product(range(window), repeat=2))
  for (t, (y, x)), (s, (v, u)) in itertools.product(enumerate(places), repeat=2):
    assert index[t, s] == (y - v + window - 1) * (2 * window - 1) + x - u + window - 1


def test_log_coordinates_are_those_of_the_formula():
  table = windows.log_coordinates(7)
  assert table.shape == (13, 13, 2)
  for y, x in itertools.product(range(13), repeat=2):
    for got, offset in zip(table[y, x], (y - 6, x - 6)):
      scaled = 8 * offset / 6
      expected = np.sign(scaled) * np.log2(1 + abs(scaled)) / 3
      np.testing.assert_allclose(got, expected, atol=1e-12)


def test_larger_windows_than_in_pretraining_keep_the_coordinates_of_known_offsets():
  small, large = windows.log_coordinates(8), windows.log_coordinates(12, pretrained=8)
  np.testing.assert_array_equal(large[4:-4, 4:-4], small)
  assert large.max() > small.max()
  np.testing.assert_array_equal(windows.log_coordinates(1), np.zeros((1, 1, 2)))


@pytest.mark.parametrize(('old', 'new'), [(7, 12), (12, 7), (7, 7), (4, 5)])
def test_bias_tables_are_resampled_as_torch_does(old, new):
  table = RANDOM.normal(size=(2 * old - 1, 2 * old - 1, 3))
  expected = torch.nn.functional.interpolate(
    torch.tensor(table.transpose(2, 0, 1)[None]), size=2 * new - 1, mode='bicubic'
  )
  got = windows.resample_bias(table, new)
  np.testing.assert_allclose(got, expected[0].numpy().transpose(1, 2, 0), atol=1e-12)
