"""Classification of the words of a text, such as what they name, by the first token of each.

A batch holds `tokens` (int32, b t), `segments` (int32, b t: 0 for padding), `classes` (int32, b t:
that of the word whose first token stands there, -1 where none begins) and `mask` (bool, b; all True
where absent).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from vitlab.errors import UserError
from vitlab.ops import losses
from vitlab.ops.sampling import argmax
from vitlab.tasks import Assumed, Batch, Task, Variables, _texts, mask_of

UNIT = 'texts'


def make(model: nn.Module, num_classes: int, label_smoothing: float = 0.0) -> Task:
  """Builds the task around a model of texts.

  Args:
    model: `module(tokens, segments, train=train) -> (logits [b t classes], out)`, with dropout from
      the rng stream 'dropout'. `out` may hold 'features' [b t d], and 'attention', a list of the
      weights of all blocks, [b n t t].
    num_classes: Number of logits.
    label_smoothing: Fraction of the target that is spread over all classes.

  Raises:
    UserError: a smoothing that is none; with the first batch, a model that does not fit.
  """
  if not 0 <= label_smoothing < 1:
    raise UserError(f'token_classification(label_smoothing={label_smoothing}): it lies in [0, 1)')

  def check(logits: Array) -> None:
    if logits.ndim != 3 or logits.shape[-1] != num_classes:
      raise UserError(
        f'the model gives logits of shape {logits.shape}, the task has {num_classes} classes '
        'of tokens'
        "\ngive the model as many num_classes, and a head on every token (BERT: head='tokens')"
      )

  def features(variables: Variables, batch: Batch) -> Float[Array, 'b t d']:
    return _texts.part(model, variables, batch, 'features')

  def scores(variables: Variables, batch: Batch) -> dict[str, Array]:
    """Where words begin (`counted`) their class (`tag`), the likeliest (`guess`) and the loss."""
    logits, mask = task.predict['logits'](variables, batch), counted(batch)
    nll = losses.token_cross_entropy(logits, batch['classes'], mask=mask)
    return dict(tag=batch['classes'], guess=argmax(logits), nll=nll, counted=mask)

  task = _texts.classifier(model, 'classes', counted, check, label_smoothing)
  return task._replace(predict={**task.predict, 'features': features, 'scores': scores})


def counted(batch: Batch) -> Bool[Array, 'b t']:
  """At which tokens a word begins whose class is known."""
  return (batch['classes'] >= 0) & (batch['segments'] > 0) & mask_of(batch)[:, None]


def example(facts: Mapping[str, Any]) -> dict[str, Any]:
  """An example of any data set of this kind, all zero.

  Args:
    facts: Those of the data set; its `lengths`, where it has them, say how long a row may be.
  """
  row = np.zeros(max(facts.get('lengths', [1])), np.int32)
  return dict(tokens=row, segments=row, classes=row)


def assumed(data: Mapping[str, Any], model: Mapping[str, Any]) -> Assumed | None:
  """What a config says of texts that are not here: vocab_size, num_classes and max_length."""
  found = _texts.assumed(data, model)
  return found and Assumed(found[0], example(found[0]), found[1])
