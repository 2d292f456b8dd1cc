"""One shell line a trial, for GNU parallel, xargs or another machine.

  python launch.py --mode=sweep --config=... --backend=commands | parallel -j 4

Only trials that have not finished are printed; every line may be run again until it has.
"""

from collections.abc import Sequence
from typing import NamedTuple

from vitlab.sweep.trial import Trial


class Commands(NamedTuple):
  """See above."""

  def text(self, trials: Sequence[Trial]) -> str:
    return ''.join(f'{trial.shown_command}\n' for trial in trials)


def make() -> Commands:
  return Commands()
