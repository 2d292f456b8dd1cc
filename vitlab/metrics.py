"""What the name of a metric says: which way is better, share or number, which one leads.

A metric is '<evaluator>/<metric>', such as 'test/top5_accuracy'; 'train/...' are means over
training batches, 'time/...' speeds. What the tables here do not know is a number, and more of it is
better.
"""

import re
from collections.abc import Iterable
from typing import Any

# What a run is quoted by, the first that it has; the loss is what every run has.
LEADING = ('bleu', 'ap', 'accuracy', 'perplexity', 'bits_per_character', 'frechet', 'loss')
_GROUPS = ('train', 'time')  # behind what was held out

_SHARE = re.compile(
  r'accuracy|precision|recall|recognised|\bf1$|\btop\d|^average|_average|knn|probe|wait$|padding$|goodput'
  r'|^a[pr]\d*(_|$)'
)
_SMALL = re.compile(
  r'loss|error|perplexity|bits_per|seconds|wait|entropy|nll|ece$|frechet|fid|distance|grad|padding'
  r'|(^|_)(kid|mae|mse|rmse|wer|cer)(_|$)|degrees'
)


def is_share(name: str) -> bool:
  """Whether a value between 0 and 1 is to be read in percent."""
  return bool(_SHARE.search(_metric(name)))


def smaller_is_better(name: str) -> bool:
  """Whether less of this metric is better: losses, errors, distances, times."""
  return bool(_SMALL.search(_metric(name)))


def percent(name: str, value: Any) -> str | None:
  """'93.10 %' of a share; None where the value is to be shown as it is."""
  shown = isinstance(value, int | float) and 0 <= value <= 1 and is_share(name)
  return f'{100 * value:.2f} %' if shown else None


def ordered(names: Iterable[str]) -> list[str]:
  """Names without repetition: what leads first, held-out before train, times last."""

  def rank(name: str) -> tuple[int, int]:
    group = name.rpartition('/')[0]
    place = LEADING.index(_metric(name)) if _metric(name) in LEADING else len(LEADING)
    return place, _GROUPS.index(group) + 1 if group in _GROUPS else 0

  return sorted(dict.fromkeys(names), key=rank)


def leading(names: Iterable[str]) -> list[str]:
  """The one or two names that a run is quoted by: held out where there are any."""
  names = [name for name in ordered(names) if not name.startswith('time/')]
  held_out = [name for name in names if not name.startswith('train/')] or names
  return [name for name in held_out if _metric(name) == _metric(held_out[0])][:2]


def _metric(name: str) -> str:
  return name.rpartition('/')[2]
