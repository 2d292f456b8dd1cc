"""Noise: of its number alone, normal, and with a truncation of the tails resampled."""

import jax.numpy as jnp
import numpy as np
import scipy.stats

from vitlab.ops.latents import noise

INDEX = jnp.arange(400)


def test_it_depends_on_the_number_of_the_sample_and_the_seed_alone():
  whole = noise(INDEX, 3)
  np.testing.assert_array_equal(noise(INDEX[::-1][:7], 3), whole[::-1][:7])
  assert len(np.unique(np.asarray(whole))) == whole.size
  assert np.all(noise(INDEX, 3, seed=1) != whole)


def test_it_is_normal_and_truncated_is_resampled_not_clipped():
  assert scipy.stats.kstest(np.ravel(noise(INDEX, 5)), 'norm').pvalue > 0.01
  short = np.ravel(noise(INDEX, 5, truncation=0.5))
  assert np.abs(short).max() <= 0.5
  assert scipy.stats.kstest(short, scipy.stats.truncnorm(-0.5, 0.5).cdf).pvalue > 0.01
