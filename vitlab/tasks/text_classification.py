"""Classification of texts, or of pairs of texts.

A batch holds `tokens` (int32, b t), `segments` (int32, b t: 0 for padding, 1 and 2 for the texts of
a pair), `label` (int32, b) and `mask` (bool, b; all True where absent).
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from vitlab.errors import UserError
from vitlab.ops import losses
from vitlab.ops.sampling import argmax
from vitlab.tasks import Assumed, Batch, Key, Loss, Task, Variables, apply_train, mask_of

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

  def init(key: Key, batch: Batch) -> Variables:
    return {'model': model.init({'params': key}, *_inputs(batch))}

  def training_loss(variables: Variables, batch: Batch, key: Key) -> Loss:
    (logits, out), mutated = apply_train(model, variables['model'], *_inputs(batch), key=key)
    _check(logits, num_classes)
    mask = mask_of(batch)
    options = dict(mask=mask, label_smoothing=label_smoothing)
    values = losses.token_cross_entropy(logits, batch['label'], **options)
    value, count = losses.masked_mean(values, mask)
    right = (argmax(logits) == batch['label']) & mask
    metrics = {
      'loss': (jnp.sum(values), count),
      'accuracy': (jnp.sum(right, dtype=jnp.float32), count),
    }
    outputs = dict(target=batch['label'], mask=mask, logits=logits, out=out)
    return Loss(value, metrics, {'model': mutated}, weight=count, outputs=outputs)

  return Task(init, {'model': training_loss}, _predict(model, num_classes))


def example(facts: Mapping[str, Any]) -> dict[str, Any]:
  """An example of any data set of this kind, all zero.

  Args:
    facts: Those of the data set; its `lengths`, where it has them, say how long a row may be.
  """
  row = np.zeros(max(facts.get('lengths', [1])), np.int32)
  return dict(tokens=row, segments=row, label=np.int32(0))


def assumed(data: Mapping[str, Any], model: Mapping[str, Any]) -> Assumed | None:
  """What a config says of texts that are not here: vocab_size, num_classes and max_length."""
  facts = {key: data.get(key) or model.get(key) for key in ('vocab_size', 'num_classes')}
  length = data.get('max_length') or model.get('max_length')
  if not all(facts.values()) or not length:
    return None
  facts |= dict(lengths=(length,))
  return Assumed(facts, example(facts), facts['lengths'])


def _inputs(batch: Batch) -> tuple[Array, Array]:
  """Tokens and segments, which are padding where no example is."""
  segments = batch['segments']
  if 'mask' in batch:
    segments = jnp.where(batch['mask'][:, None], segments, 0)
  return batch['tokens'], segments


def _predict(model: nn.Module, num_classes: int) -> dict[str, Callable[..., Any]]:
  def forward(variables: Variables, batch: Batch) -> tuple[Float[Array, 'b classes'], Any]:
    logits, out = model.apply(variables['model'], *_inputs(batch))
    _check(logits, num_classes)
    return logits.astype(jnp.float32), out

  def logits(variables: Variables, batch: Batch) -> Float[Array, 'b classes']:
    return forward(variables, batch)[0]

  def probabilities(variables: Variables, batch: Batch) -> Float[Array, 'b classes']:
    return jax.nn.softmax(forward(variables, batch)[0])

  def features(variables: Variables, batch: Batch) -> Float[Array, 'b d']:
    """One vector a text: the first token's where there is one for each."""
    found = _part(forward(variables, batch)[1], 'features')
    return found[:, 0] if found.ndim == 3 else found

  def attention(variables: Variables, batch: Batch) -> list[Float[Array, 'b n t t']]:
    return _part(forward(variables, batch)[1], 'attention')

  def _part(out: Mapping[str, Any], name: str) -> Any:
    if name not in out:
      raise UserError(f'the model {type(model).__name__} gives no {name}')
    return out[name]

  return dict(logits=logits, probabilities=probabilities, features=features, attention=attention)


def _check(logits: Array, num_classes: int) -> None:
  if logits.ndim != 2 or logits.shape[-1] != num_classes:
    raise UserError(
      f'the model gives logits of shape {logits.shape}, the task has {num_classes} classes a text'
      "\ngive the model the same num_classes, and a head on the whole text (BERT: head='text')"
    )
