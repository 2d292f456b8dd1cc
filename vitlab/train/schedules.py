"""Learning-rate schedules: warm-up, decay, cool-down, with durations in any unit.

  lr(i) = min(1, i / warmup) * (final + (peak - final) * decay(i) * min(1, (total - i) / cooldown))

for step i = 0, 1, ... of total. `decay` is 1 until the end of the warm-up.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from vitlab.errors import UserError, unknown

NAMES = ('cosine', 'linear', 'rsqrt', 'constant', 'step')


class Schedule(NamedTuple):
  """What a spec may say about the learning rate.

  Attributes:
    learning_rate: The peak, reached at the end of the warm-up.
    schedule: `cosine` (1 + cos(pi x)) / 2 and `linear` 1 - x, where x goes from 0 at the end of
      the warm-up to 1 at the end of the run; `rsqrt` 1 / sqrt(1 + (i - warmup) / timescale), which
      needs no end; `constant`; `step`, multiplied by milestone_factor at each milestone.
    warmup: Linear rise from zero.
    cooldown: Linear fall to final_learning_rate at the end of the run.
    final_learning_rate: Where cosine, linear and the cool-down end.
    timescale: For rsqrt; by default the warm-up, as in the Transformer (arXiv:1706.03762, eq. 3).
    milestones: For step, durations from the start of the run.
    milestone_factor: For step.
  """

  learning_rate: float
  schedule: str = 'cosine'
  warmup: str = '0 steps'
  cooldown: str = '0 steps'
  final_learning_rate: float = 0.0
  timescale: str = ''
  milestones: Sequence[str] = ('30%', '60%', '90%')
  milestone_factor: float = 0.1


def make(spec: Schedule, total_steps: int, to_steps: Callable[[str], int]) -> optax.Schedule:
  """The learning rate as a function of the number of steps done; may be traced.

  Raises:
    UserError: an unknown schedule, a negative or non-finite rate, a run of no steps, a warm-up and
      cool-down longer than the run, rsqrt without a timescale.
  """
  peak = non_negative('learning_rate', spec.learning_rate)
  final = non_negative('final_learning_rate', spec.final_learning_rate)
  if total_steps <= 0:
    raise UserError(f'a run of {total_steps} steps: set config.duration to at least 1 step')
  rise, fall = to_steps(spec.warmup), to_steps(spec.cooldown)
  if rise + fall > total_steps:
    raise UserError(
      f'optim.warmup {spec.warmup!r} and cooldown {spec.cooldown!r} are {rise + fall} steps, '
      f'more than the {total_steps} of the run; shorten them or lengthen config.duration'
    )
  decay = _decay(spec, rise, total_steps, to_steps)

  def rate(count):
    i = jnp.clip(jnp.asarray(count, jnp.float32), 0, total_steps)
    rising = jnp.minimum(1, i / rise) if rise else 1
    falling = jnp.minimum(1, (total_steps - i) / fall) if fall else 1
    return rising * (final + (peak - final) * decay(jnp.maximum(i, rise)) * falling)

  return rate


def _decay(spec: Schedule, rise: int, total_steps: int, to_steps: Callable[[str], int]) -> Callable:
  """The decay as a function of the step, for steps from the end of the warm-up."""

  def progress(i):
    return (i - rise) / max(1, total_steps - rise)

  match spec.schedule:
    case 'cosine':
      return lambda i: (1 + jnp.cos(jnp.pi * progress(i))) / 2
    case 'linear':
      return lambda i: 1 - progress(i)
    case 'constant':
      return jnp.ones_like
    case 'rsqrt':
      timescale = to_steps(spec.timescale) if spec.timescale else rise
      if not timescale:
        raise UserError('optim.schedule=rsqrt: set a warmup or a timescale of more than 0 steps')
      return lambda i: 1 / jnp.sqrt(1 + (i - rise) / timescale)
    case 'step':
      factor = non_negative('milestone_factor', spec.milestone_factor)
      drops = jnp.array([to_steps(milestone) for milestone in spec.milestones])
      return lambda i: factor ** jnp.sum(i >= drops)
  raise unknown('optim.schedule', str(spec.schedule), NAMES)


def non_negative(key: str, value: Any) -> float:
  """The value of an optimiser setting, if it is one.

  Raises:
    UserError: not a finite number >= 0.
  """
  number = isinstance(value, (int, float)) and not isinstance(value, bool)
  if not number or not math.isfinite(value) or value < 0:
    raise UserError(f'optim.{key}={value!r}: expected a finite number >= 0')
  return value
