"""What classifiers of texts and of their words have in common."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from vitlab.errors import UserError
from vitlab.ops import losses
from vitlab.ops.sampling import argmax
from vitlab.tasks import Batch, Key, Loss, Task, Variables, apply_train

Mask = Callable[[Batch], Array]
Check = Callable[[Array], None]


def inputs(batch: Batch) -> tuple[Array, Array]:
  """Tokens and segments, which are padding where no example is."""
  segments = batch['segments']
  if 'mask' in batch:
    segments = jnp.where(batch['mask'][:, None], segments, 0)
  return batch['tokens'], segments


def classifier(
  model: nn.Module, right: str, mask_of: Mask, check: Check, label_smoothing: float
) -> Task:
  """The task of classifying, with the predictions logits, probabilities and attention.

  Args:
    model: `module(tokens, segments, train=train) -> (logits [... classes], out)`.
    right: Key of the batch for the right classes, [...].
    mask_of: Batch -> which of them count, [...].
    check: Given the logits; raises UserError if they do not fit.
    label_smoothing: Fraction of the target that is spread over all classes.
  """

  def init(key: Key, batch: Batch) -> Variables:
    return {'model': model.init({'params': key}, *inputs(batch))}

  def training_loss(variables: Variables, batch: Batch, key: Key) -> Loss:
    (logits, out), mutated = apply_train(model, variables['model'], *inputs(batch), key=key)
    check(logits)
    target, mask = batch[right], mask_of(batch)
    options = dict(mask=mask, label_smoothing=label_smoothing)
    values = losses.token_cross_entropy(logits, target, **options)
    value, count = losses.masked_mean(values, mask)
    hits = (argmax(logits) == target) & mask
    metrics = {
      'loss': (jnp.sum(values), count),
      'accuracy': (jnp.sum(hits, dtype=jnp.float32), count),
    }
    outputs = dict(target=target, mask=mask, logits=logits, out=out)
    return Loss(value, metrics, {'model': mutated}, weight=count, outputs=outputs)

  def logits(variables: Variables, batch: Batch) -> Float[Array, 'b ... classes']:
    found = model.apply(variables['model'], *inputs(batch))[0]
    check(found)
    return found.astype(jnp.float32)

  def probabilities(variables: Variables, batch: Batch) -> Float[Array, 'b ... classes']:
    return jax.nn.softmax(logits(variables, batch))

  def attention(variables: Variables, batch: Batch) -> list[Float[Array, 'b n t t']]:
    return part(model, variables, batch, 'attention')

  predict = dict(logits=logits, probabilities=probabilities, attention=attention)
  return Task(init, {'model': training_loss}, predict)


def part(model: nn.Module, variables: Variables, batch: Batch, name: str) -> Any:
  """Something that the model gives beside its logits; UserError if it does not."""
  out = model.apply(variables['model'], *inputs(batch))[1]
  if name not in out:
    raise UserError(f'the model {type(model).__name__} gives no {name}')
  return out[name]


def assumed(
  data: Mapping[str, Any], model: Mapping[str, Any]
) -> tuple[dict[str, Any], Sequence[int]] | None:
  """What a config says of texts that are not here: facts (vocab_size, num_classes), and lengths."""
  facts = {key: data.get(key) or model.get(key) for key in ('vocab_size', 'num_classes')}
  length = data.get('max_length') or model.get('max_length')
  return (facts | dict(lengths=(length,)), (length,)) if all(facts.values()) and length else None
