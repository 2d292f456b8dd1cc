"""What a classifier says about an input: the most probable classes, as a table and as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from vitlab.lines import aligned

TOP = 5


class Label(NamedTuple):
  """What the model says about one input.

  Attributes:
    given: The input: the name of a file, or a text.
    top: The most probable classes, (name, probability), best first; empty if it has an error.
    error: Why nothing can be said, or ''.
  """

  given: str
  top: Sequence[tuple[str, float]]
  error: str = ''


def top(
  probabilities: Float[np.ndarray, ' classes'], names: Sequence[str]
) -> list[tuple[str, float]]:
  """The most probable classes, best first; of equals the first one."""
  best = np.argsort(-probabilities, kind='stable')[:TOP]
  return [(names[i], float(probabilities[i])) for i in best]


def table(labels: Sequence[Label], what: str) -> str:
  """Aligned columns, a line for each input: itself, class, probability, runner-up.

  Args:
    labels: None with an error.
    what: The head of the first column.
  """
  rows = [(what, 'class', 'probability', 'runner-up')]
  for one in labels:
    (name, probability), *others = one.top
    runner_up = f'{others[0][0]} {others[0][1]:.1%}' if others else ''
    rows.append((one.given, name, f'{probability:.1%}', runner_up))
  return aligned(rows, right=(2,))


def as_json(one: Label, given: Mapping[str, Any]) -> dict[str, Any]:
  """The label for a line of JSON.

  Args:
    one: The label.
    given: What the input is: dict(file=...).
  """
  if one.error:
    return {**given, 'error': one.error}
  (name, probability), *_ = one.top
  rows = [{'class': other, 'probability': p} for other, p in one.top]
  return {**given, 'class': name, 'probability': probability, 'top': rows}
