"""Training metrics between two logged steps: kept on the devices, fetched late, watched for nan."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from vitlab import names
from vitlab.errors import UserError
from vitlab.tasks import Metrics

_MOST = 64  # steps that may wait to be fetched: bounds memory and how late a nan is noticed


class Diverged(UserError):
  """A training metric or a parameter is no longer a finite number; names the step."""


class Meter:
  """Sums of the (sum, count) metrics of steps, so that every example counts the same.

  Args:
    totals: name -> [sum, count], of steps before a restart.
  """

  def __init__(self, totals: Mapping[str, list[float]] | None = None):
    self._totals = {name: list(pair) for name, pair in (totals or {}).items()}
    self._waiting: list[tuple[int, Metrics]] = []

  def add(self, step: int, metrics: Metrics) -> None:
    """Notes the metrics of a step that may still be running."""
    self._waiting.append((step, metrics))
    if len(self._waiting) >= 2 * _MOST:
      self._fetch(_MOST)

  def totals(self) -> dict[str, list[float]]:
    """All sums so far as plain numbers: what a checkpoint holds. Waits for the steps to finish.

    Raises:
      Diverged: a step had a metric that is not finite.
    """
    self._fetch(len(self._waiting))
    return self._totals

  def means(self) -> dict[str, float]:
    """Sums over counts; as `totals`."""
    return {name: total / count for name, (total, count) in self.totals().items() if count}

  def reset(self) -> None:
    """Begins the next window."""
    self._totals, self._waiting = {}, []

  def _fetch(self, number: int) -> None:
    fetched, self._waiting = self._waiting[:number], self._waiting[number:]
    for step, metrics in jax.device_get(fetched):
      check_finite(step, {name: float(total) for name, (total, _) in metrics.items()})
      for name, (total, count) in metrics.items():
        sums = self._totals.setdefault(name, [0.0, 0.0])
        sums[0] += float(total)
        sums[1] += float(count)


def check_finite(step: int, values: Mapping[str, Any]) -> None:
  """Raises `Diverged` if one of the numbers of this step is nan or infinite."""
  bad = [f'{name} is {value}' for name, value in values.items() if not math.isfinite(value)]
  if bad:
    more = f' and {len(bad) - 2} more' if len(bad) > 2 else ''
    raise Diverged(
      f'training diverged at step {step}: {", ".join(bad[:2])}{more}'
      '\nno checkpoint after it was saved; the same command would meet the same step again'
      '\nlower optim.learning_rate, lengthen optim.warmup or set optim.clip_norm; new --workdir'
    )


def check_parameters(step: int, variables: Mapping[str, Any]) -> None:
  """Raises `Diverged` if a parameter of one of the players is nan or infinite after this step."""
  params = {player: collections['params'] for player, collections in variables.items()}
  finite = names.flatten(jax.device_get(_finite(params)))
  check_finite(step, {name: 0.0 if fine else math.nan for name, fine in finite.items()})


@jax.jit
def _finite(params: Any) -> Any:
  return jax.tree.map(lambda x: jnp.isfinite(x).all(), params)
