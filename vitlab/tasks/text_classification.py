"""Classification of texts, or of pairs of texts.

A batch holds `tokens` (int32, b t), `segments` (int32, b t: 0 for padding, 1 and 2 for the texts of
a pair), `label` (int32, b) and `mask` (bool, b; all True where absent).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from vitlab.errors import UserError
from vitlab.tasks import Assumed, Batch, Task, Variables, _texts, mask_of

UNIT = 'texts'


def make(model: nn.Module, num_classes: int, label_smoothing: float = 0.0) -> Task:
  """Builds the task around a model of texts.

  Args:
    model: `module(tokens, segments, train=train) -> (logits [b classes], out)`, with dropout from
      the rng stream 'dropout'. `out` may hold 'features' [b t d] or [b d], and 'attention', a list
      of the weights of all blocks, [b n t t].
    num_classes: Number of logits.
    label_smoothing: Fraction of the target that is spread over all classes.

  Raises:
    UserError: a smoothing that is none; with the first batch, a model that does not fit.
  """
  if not 0 <= label_smoothing < 1:
    raise UserError(f'text_classification(label_smoothing={label_smoothing}): it lies in [0, 1)')

  def check(logits: Array) -> None:
    if logits.ndim != 2 or logits.shape[-1] != num_classes:
      raise UserError(
        f'the model gives logits of shape {logits.shape}, the task has {num_classes} classes a text'
        "\ngive the model the same num_classes, and a head on the whole text (BERT: head='text')"
      )

  def features(variables: Variables, batch: Batch) -> Float[Array, 'b d']:
    """One vector a text: the first token's where there is one for each."""
    found = _texts.part(model, variables, batch, 'features')
    return found[:, 0] if found.ndim == 3 else found

  task = _texts.classifier(model, 'label', mask_of, check, label_smoothing)
  return task._replace(predict={**task.predict, 'features': features})


def example(facts: Mapping[str, Any]) -> dict[str, Any]:
  """An example of any data set of this kind, all zero.

  Args:
    facts: Those of the data set; its `lengths`, where it has them, say how long a row may be.
  """
  row = np.zeros(max(facts.get('lengths', [1])), np.int32)
  return dict(tokens=row, segments=row, label=np.int32(0))


def assumed(data: Mapping[str, Any], model: Mapping[str, Any]) -> Assumed | None:
  """What a config says of texts that are not here: vocab_size, num_classes and max_length."""
  found = _texts.assumed(data, model)
  return found and Assumed(found[0], example(found[0]), found[1])
