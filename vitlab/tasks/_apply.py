"""One model applied in training: what tasks of one player share."""

from typing import Any

from flax import linen as nn
from jaxtyping import PyTree

from vitlab.tasks import Key


def train(
  model: nn.Module, variables: PyTree, *inputs: Any, key: Key
) -> tuple[tuple[Any, dict[str, Any]], PyTree]:
  """Applies a model in training mode.

  Args:
    model: Called as module(*inputs, train=True).
    variables: Its collections, 'params' among them.
    *inputs: Arrays of the batch.
    key: Key of the rng stream 'dropout'.

  Returns:
    What the model returns, and the collections that changed: all but 'params' may.
  """
  mutable = [collection for collection in variables if collection != 'params']
  return model.apply(variables, *inputs, train=True, rngs={'dropout': key}, mutable=mutable)
