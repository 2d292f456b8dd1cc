import functools
import math

import jax
import numpy as np
import optax
import pytest

from vitlab.errors import UserError
from vitlab.train import duration, schedules

TOTAL = 200
PEAK = 3e-3


def make(total=TOTAL, learning_rate=PEAK, **spec):
  to_steps = functools.partial(duration.steps, batch_size=10, num_examples=100, total=total)
  return schedules.make(schedules.Schedule(learning_rate, **spec), total, to_steps)


def curve(rate):
  return jax.jit(jax.vmap(rate))(np.arange(TOTAL))


def closed_form(decay, warmup=0, cooldown=0, final=0.0):
  """The formula of the module docstring, in NumPy."""
  values = []
  for i in range(TOTAL):
    rising = min(1, i / warmup) if warmup else 1
    falling = min(1, (TOTAL - i) / cooldown) if cooldown else 1
    values.append(rising * (final + (PEAK - final) * decay(max(i, warmup)) * falling))
  return values


@pytest.mark.parametrize(
  'name, decay',
  [
    ('cosine', lambda i: 0.5 * (1 + math.cos(math.pi * (i - 20) / 180))),
    ('linear', lambda i: (200 - i) / 180),
    ('constant', lambda i: 1.0),
    ('rsqrt', lambda i: math.sqrt(20 / i)),
    ('step', lambda i: 0.1 ** sum(i >= drop for drop in (60, 120, 180))),
  ],
)
def test_closed_forms(name, decay):
  rate = make(schedule=name, warmup='2 epochs', cooldown='5%', final_learning_rate=1e-5)
  expected = closed_form(decay, warmup=20, cooldown=10, final=1e-5)
  np.testing.assert_allclose(curve(rate), expected, rtol=2e-6, atol=1e-6 * PEAK)


def test_agrees_with_optax():
  theirs = optax.warmup_cosine_decay_schedule(0.0, PEAK, 30, TOTAL)
  np.testing.assert_allclose(curve(make(warmup='30 steps')), curve(theirs), rtol=1e-5, atol=1e-9)


def test_rsqrt_with_a_timescale_and_milestones_of_ones_own():
  rate = make(schedule='rsqrt', timescale='50 steps')
  np.testing.assert_allclose(rate(150), PEAK / 2, rtol=1e-6)
  rate = make(schedule='step', milestones=('100 steps',), milestone_factor=0.5)
  np.testing.assert_allclose([rate(99), rate(100)], [PEAK, PEAK / 2], rtol=1e-6)


def test_takes_plain_numbers_and_holds_its_end_after_the_run():
  rate = make(warmup='10%', final_learning_rate=1e-4)
  np.testing.assert_allclose(rate(50), curve(rate)[50], rtol=2e-6)
  np.testing.assert_allclose([rate(TOTAL), rate(2 * TOTAL)], 1e-4, rtol=2e-6)


@pytest.mark.parametrize('value', [math.nan, math.inf, -1e-3, '1e-3', None, True])
def test_bad_rates_are_refused(value):
  with pytest.raises(UserError, match='optim.learning_rate=.*expected a finite number >= 0'):
    make(learning_rate=value)


def test_runs_without_room_are_refused():
  with pytest.raises(UserError, match='a run of 0 steps'):
    make(total=0)
  with pytest.raises(UserError, match='210 steps, more than the 200'):
    make(warmup='100%', cooldown='1 epochs')
  with pytest.raises(UserError, match='rsqrt: set a warmup or a timescale'):
    make(schedule='rsqrt')
  with pytest.raises(UserError, match="unknown optim.schedule 'cosin': did you mean cosine"):
    make(schedule='cosin')
