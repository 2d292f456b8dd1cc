"""Durations in any unit: '500 steps', '40 epochs', '1e6 examples', '10%' of the run.

'11 epochs, at least 2000 steps' is the longer one: little data make short epochs.
"""

import math
import re
from typing import Any

from vitlab.errors import UserError

_OR_LONGER = ', at least '
_PATTERN = re.compile(r'\s*([-+.\deE]+)\s*(steps?|epochs?|examples?|%)\s*')


def steps(
  duration: Any, *, batch_size: int, num_examples: int | None, total: int | None = None
) -> int:
  """How many optimiser steps a duration is, rounded; a positive one is at least one step.

  Args:
    duration: A number and its unit: steps, epochs, examples, or % of the whole run; or several of
      these with ', at least ' between them.
    batch_size: Examples per step, over all devices and microbatches.
    num_examples: Examples per epoch; None if the data have no epochs.
    total: Steps of the whole run, which percentages refer to; None where there is no run yet.

  Raises:
    UserError: not a finite number >= 0 with a unit, or a unit that has no meaning here.
  """
  if isinstance(duration, str) and _OR_LONGER in duration:
    sizes = dict(batch_size=batch_size, num_examples=num_examples, total=total)
    return max(steps(part, **sizes) for part in duration.split(_OR_LONGER))
  match = _PATTERN.fullmatch(duration) if isinstance(duration, str) else None
  number = _number(match[1]) if match else math.nan
  if not math.isfinite(number) or number < 0:
    raise UserError(
      f'duration {duration!r}: expected a number >= 0 and a unit, '
      "for example '500 steps', '40 epochs', '1e6 examples' or '10%'; "
      "'11 epochs, at least 2000 steps' is the longer one"
    )
  unit = match[2].rstrip('s')
  if unit == 'epoch' and num_examples is None:
    raise UserError(f'duration {duration!r}: the data have no epochs; use steps or examples')
  if unit == '%' and total is None:
    raise UserError(f'duration {duration!r}: % needs a run; use steps, epochs or examples here')
  if unit == '%':
    number *= total / 100
  elif unit == 'epoch':
    number *= num_examples / batch_size
  elif unit == 'example':
    number /= batch_size
  return max(1, round(number)) if number else 0


def _number(text: str) -> float:
  try:
    return float(text)
  except ValueError:
    return math.nan
