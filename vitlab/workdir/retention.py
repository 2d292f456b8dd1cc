"""Which checkpoints stay: the newest ones, the spaced ones and the best one."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vitlab.errors import UserError


class Retention:
  """A preservation policy of orbax with its own memory of the metrics.

  Orbax's own best-of-n policy lets a NaN win and deletes the steps that were better.

  Args:
    keep: how many of the newest steps are kept.
    keep_every: steps divisible by it are never deleted; 0 is off.
    best: the metric whose best step is kept; '' is off.
    best_mode: 'max' or 'min'.

  Raises:
    UserError: an argument is out of range.
  """

  def __init__(self, keep: int, keep_every: int, best: str, best_mode: str):
    if best_mode not in ('min', 'max'):
      raise UserError(f"checkpoint.best_mode={best_mode!r}: possible are 'min' and 'max'")
    if keep < 1:
      raise UserError(f'checkpoint.keep={keep}: at least 1 checkpoint must be kept')
    self._keep, self._keep_every, self._best = keep, keep_every, best
    self._sign = -1.0 if best_mode == 'min' else 1.0
    self._scores: dict[int, float] = {}

  def add(self, step: int, metrics: Mapping[str, float]) -> None:
    """Remembers the metrics of a step; without the metric, or with NaN, it is never the best."""
    score = self._sign * float(metrics.get(self._best, math.nan))
    self._scores[step] = -math.inf if math.isnan(score) else score

  def best_of(self, steps: Sequence[int]) -> int | None:
    """The step with the best metric, the latest of equals; None if no step has one."""
    scores = {s: self._scores[s] for s in steps if self._scores.get(s, -math.inf) > -math.inf}
    return max(scores, key=lambda step: (scores[step], step), default=None)

  def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
    """The protocol of orbax: one decision per checkpoint, in the order given."""
    del context
    steps = [checkpoint.step for checkpoint in checkpoints]
    kept = {*sorted(steps)[-self._keep :], self.best_of(steps)}
    if self._keep_every:
      kept |= {step for step in steps if step % self._keep_every == 0}
    return [step in kept for step in steps]
