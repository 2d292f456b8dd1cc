"""Samples are drawn from the noise of their numbers, or from that which the batch brings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import gans

from vitlab.errors import UserError


def test_seed_and_truncation_change_what_is_drawn():
  def noise(**task):
    return np.asarray(gans.drawing(**task).predict['noise']({}, dict(index=jnp.arange(50))))

  first, other, short = noise(), noise(seed=1), noise(truncation=0.5)
  assert np.abs(first - other).min() > 0 and np.abs(short).max() <= 0.5 < np.abs(first).max()
  with pytest.raises(
    UserError, match=r'task.seed=-1: expected a whole number from 0 to 4294967295'
  ):
    gans.drawing(seed=-1)


def test_the_batch_may_bring_its_own_noise():
  model = gans.shared()
  samples, noise = (jax.jit(model.task.predict[name]) for name in ('samples', 'noise'))
  by_number = dict(index=jnp.array([3, 9]), label=jnp.array([2, 0]))
  drawn = noise(model.variables, by_number)
  given = dict(noise=drawn[::-1], label=jnp.array([2, 0]))
  np.testing.assert_array_equal(noise(model.variables, given), drawn[::-1])
  wanted = samples(model.variables, dict(by_number, index=jnp.array([9, 3])))
  np.testing.assert_allclose(samples(model.variables, given), wanted, atol=1e-6)
  other = samples(model.variables, by_number)
  assert np.abs(other - wanted).max() > 0.1
