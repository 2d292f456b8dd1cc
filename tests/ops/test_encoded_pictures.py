"""What an encoder sees, against Pillow and the numbers of clean-fid 0.1.35."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from vitlab.errors import UserError
from vitlab.ops.encoded import for_encoder, resize_bicubic

PLAIN = dict(mean=(0.0,), std=(1.0,))


def edge():
  """Black, and white from column 16 on."""
  picture = np.zeros((1, 32, 32, 3), np.float32)
  picture[:, :, 16:] = 1
  return jnp.asarray(picture)


def test_a_hard_edge_is_clean_fid_s():
  """Not rounded; cut off where the cubic swings over; not torch's bilinear."""
  row = 255 * np.asarray(resize_bicubic(edge(), (299, 299)))[0, 7, :, 1]
  np.testing.assert_allclose(
    row[[146, 148, 150, 152]], [33.59882, 93.698875, 161.30112, 221.40118], atol=3e-4
  )
  assert row.min() == 0 and row.max() == 255


@pytest.mark.parametrize('size', [(299, 299), (9, 40), (5, 7), (16, 12)], ids=str)
def test_equals_pillow(size):
  """Larger, and smaller, where every pixel is a mean of many."""
  picture = np.random.default_rng(0).uniform(size=(2, 16, 12, 3)).astype(np.float32)
  got = resize_bicubic(jnp.asarray(picture), size)

  def expected(channel):
    image = Image.fromarray(channel * 255).resize(size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(image).clip(0, 255) / 255

  for i in range(2):
    for c in range(3):
      np.testing.assert_allclose(got[i, :, :, c], expected(picture[i, :, :, c]), atol=2e-6)


def test_samples_are_seen_as_their_files_are():
  """8 bits before all else; 1.01 is white, not the byte 1 of an overflow."""
  values = jnp.asarray([-0.3, 0.0, 0.999, 0.5, 1.01, 0.4999]).reshape(1, 2, 3, 1)
  got = for_encoder(values, (2, 3), channels=1, **PLAIN)
  expected = [0, 0, 255, 128, 255, 127]
  np.testing.assert_allclose(255 * np.asarray(got).ravel(), expected, atol=1e-4)


def test_normalised_behind_the_resizing():
  got = for_encoder(edge(), (299, 299), mean=(128 / 255,) * 3, std=(128 / 255,) * 3)
  assert got.shape == (1, 299, 299, 3)
  np.testing.assert_allclose([got.min(), got.max()], [-1, 127 / 128], atol=1e-6)


def test_grey_is_repeated_and_colours_are_no_grey():
  grey = edge()[..., :1]
  got = for_encoder(grey, (64, 64), **PLAIN)
  assert got.shape[-1] == 3 and (got[..., 0] == got[..., 2]).all()
  with pytest.raises(UserError, match='sees 1 channels, the pictures have 3'):
    for_encoder(edge(), (64, 64), channels=1, **PLAIN)
