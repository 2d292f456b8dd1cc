"""Means are sums over counts, whatever the steps and the restarts they were made of."""

import jax.numpy as jnp
import pytest

from vitlab.train import meter
from vitlab.train.meter import Diverged, Meter


def _metrics(total, count, norm=1.0):
  one = jnp.ones(())
  return {'loss': (total * one, count * one), 'grad_norm': (norm * one, one)}


def test_every_example_counts_the_same():
  window = Meter()
  window.add(1, _metrics(8.0, 4.0))
  window.add(2, _metrics(1.0, 1.0, norm=3.0))
  assert window.means() == {'loss': 9 / 5, 'grad_norm': 2.0}


def test_a_window_continues_where_a_checkpoint_left_it():
  whole, before = Meter(), Meter()
  for step in range(1, 7):
    whole.add(step, _metrics(0.1 * step, 3.0))
  for step in range(1, 4):
    before.add(step, _metrics(0.1 * step, 3.0))
  after = Meter(before.totals())
  for step in range(4, 7):
    after.add(step, _metrics(0.1 * step, 3.0))
  assert after.means() == whole.means()


def test_reset():
  window = Meter({'loss': [1.0, 1.0]})
  window.add(1, _metrics(1.0, 1.0))
  window.reset()
  assert window.means() == {}


def test_padding_alone_has_no_mean():
  window = Meter()
  window.add(1, {'loss': (jnp.zeros(()), jnp.zeros(()))})
  assert window.means() == {}


def test_long_windows_are_fetched_on_the_way():
  window = Meter()
  for step in range(1, 1000):
    window.add(step, _metrics(1.0, 1.0))
    assert len(window._waiting) < 2 * meter._MOST
  assert window.totals()['loss'] == [999.0, 999.0]


@pytest.mark.parametrize('bad', [jnp.nan, jnp.inf, -jnp.inf])
def test_the_first_bad_step_is_named(bad):
  window = Meter()
  window.add(1, _metrics(1.0, 1.0))
  window.add(2, _metrics(1.0, 1.0, norm=bad))
  window.add(3, _metrics(bad, 1.0))
  with pytest.raises(Diverged, match='step 2: grad_norm is'):
    window.means()


def test_the_message_is_short_however_much_is_bad():
  with pytest.raises(Diverged) as error:
    meter.check_finite(7, {f'block_{i}': float('nan') for i in range(100)})
  assert len(str(error.value).splitlines()) <= 3
  assert len(str(error.value)) < 500


def test_a_parameter_that_is_not_finite_is_named():
  variables = {'model': {'params': {'head': {'kernel': jnp.ones(3), 'bias': jnp.zeros(2)}}}}
  meter.check_parameters(4, variables)
  variables['model']['params']['head']['kernel'] = jnp.array([1.0, jnp.inf])
  with pytest.raises(Diverged, match='at step 4: model/head/kernel is nan'):
    meter.check_parameters(4, variables)
