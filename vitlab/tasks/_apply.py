"""One model applied in training: what tasks of one player share."""

from typing import Any

from flax import linen as nn
from jaxtyping import PyTree

from vitlab.tasks import Key


def train(
  model: nn.Module, variables: PyTree, *inputs: Any, key: Key, **named: Any
) -> tuple[tuple[Any, dict[str, Any]], PyTree]:
  """Applies a model in training mode.

  Args:
    model: Called as module(*inputs, train=True, **named).
    variables: Its collections, 'params' among them.
    *inputs: Arrays of the batch.
    key: Key of the rng stream 'dropout'.
    **named: More of them, by the names that the model has for them.

  Returns:
    What the model returns, and the collections that changed: all but 'params' may.
  """
  mutable = [collection for collection in variables if collection != 'params']
  rngs = {'dropout': key}
  return model.apply(variables, *inputs, train=True, **named, rngs=rngs, mutable=mutable)
