"""Saliency where the answer is known, and occlusion against a loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.ops import saliency

KEY = jax.random.key(0)
IMAGE = np.random.default_rng(0).random((6, 9, 2)).astype(np.float32)
WEIGHTS = np.random.default_rng(1).normal(size=IMAGE.shape).astype(np.float32)


def linear(images):
  return jnp.einsum('bhwc,hwc->b', images, WEIGHTS)


def test_of_a_linear_score_saliency_is_exact_whatever_the_noise():
  found = saliency.input_times_gradient(linear, jnp.asarray(IMAGE), KEY)
  expected = ((IMAGE - IMAGE.mean((0, 1))) * WEIGHTS).sum(-1)
  np.testing.assert_allclose(found, expected, atol=1e-6)
  # Complete: the parts add up to the difference from the mean colour.
  plain = jnp.broadcast_to(IMAGE.mean((0, 1)), IMAGE.shape)
  difference = linear(jnp.asarray(IMAGE)[None]) - linear(plain[None])
  assert float(found.sum()) == pytest.approx(float(difference[0]), rel=1e-4)


def test_the_gradient_is_averaged_over_a_neighbourhood():
  def kinked(images):  # no gradient at the image itself, where 32 pixels are in the ditch
    return jnp.maximum(jnp.abs(images - 0.5) - 0.05, 0).sum((1, 2, 3))

  image = jnp.full((6, 6, 1), 0.5).at[0].set(0.0).at[5].set(1.0)
  one = saliency.input_times_gradient(kinked, image, KEY, samples=1, noise=0.0)
  many = saliency.input_times_gradient(kinked, image, KEY, samples=300, noise=0.1)
  np.testing.assert_allclose(one[0], 0.5)  # -0.5 times a slope of -1
  np.testing.assert_allclose(many[0], 0.5, atol=0.02)
  assert abs(float(many[2, 2])) < 0.02


@pytest.mark.parametrize('steps', [3, 4, 100])
def test_occlusion_covers_one_cell_after_the_other(steps):
  def score(images):
    return jnp.tanh(linear(images))

  found = np.asarray(saliency.occlusion(score, jnp.asarray(IMAGE), steps=steps, batch_size=4))
  size = max(9 / steps, 1)
  rows, columns = round(6 / size), round(9 / size)
  assert found.shape == (rows, columns)
  for r, c in np.ndindex(rows, columns):
    covered = IMAGE.copy()
    for y, x in np.ndindex(6, 9):
      inside = abs(y + 0.5 - (r + 0.5) * 6 / rows) <= 6 / rows
      if inside and abs(x + 0.5 - (c + 0.5) * 9 / columns) <= 9 / columns:
        covered[y, x] = IMAGE.mean((0, 1))
    expected = score(jnp.asarray(IMAGE)[None])[0] - score(jnp.asarray(covered)[None])[0]
    assert found[r, c] == pytest.approx(float(expected), abs=1e-4)


def test_what_is_not_looked_at_may_be_covered():
  def corner(images):
    return images[:, 0, 0].sum(-1)

  image = jnp.zeros((8, 8, 1)).at[0, 0].set(1.0)
  found = np.asarray(saliency.occlusion(corner, image, steps=4))
  assert found[0, 0] > 0.9 and not found[2:].any() and not found[:, 2:].any()
