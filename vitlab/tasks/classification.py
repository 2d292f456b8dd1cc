"""Supervised classification of images: softmax or sigmoid cross-entropy with augmentation.

A batch holds `image` (uint8, b h w c), `label` (int32, b) and `mask` (bool, b; all True where
absent).
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Shaped

from vitlab.errors import UserError, unknown
from vitlab.ops import augment as augmentation
from vitlab.ops import losses
from vitlab.ops.color import normalize
from vitlab.tasks import Batch, Key, Loss, Task, Variables, apply_train, mask_of
from vitlab.tasks._images import assumed, example, pixels

__all__ = ['assumed', 'example', 'make']
UNIT, INPUTS = 'images', ('image',)
LOSSES = {'softmax': losses.softmax_cross_entropy, 'sigmoid': losses.sigmoid_cross_entropy}


def make(
  model: nn.Module,
  num_classes: int,
  label_smoothing: float = 0.0,
  loss: str = 'softmax',
  augment: str = '',
  mean: Sequence[float] = (0.5,),
  std: Sequence[float] = (0.5,),
) -> Task:
  """Builds the task around a model `module(image, train) -> (logits, out)`.

  Args:
    model: Sees normalised float images; draws dropout from the rng stream 'dropout'. `out` may hold
      'features' [b, d] and lists of the weights of all blocks, [b, n, t, s] or, in windows,
      [b, g, n, t, s]: 'attention', 'inner_attention'. 'intermediates' predicts it as a whole.
    num_classes: The number of logits.
    label_smoothing: The fraction of the target that is spread over all classes.
    loss: 'softmax', or 'sigmoid' for one yes-or-no question per class: every class that is in a
      mixed image counts as present, as in DeiT III (arXiv:2204.07118).
    augment: A pipeline of `vitlab.ops.augment`; in training only.
    mean: Of the pixels in [0, 1], one for all channels or one for each; subtracted.
    std: Divided by. The defaults bring the pixels to [-1, 1].

  Raises:
    UserError: an unknown loss or augmentation; with the first batch, a model, mean or std that does
      not fit it; with the first use, a prediction that the model does not give.
  """
  if loss not in LOSSES:
    raise unknown('loss of the classification task', loss, LOSSES)
  pipeline = augmentation.compile(augment)
  scale = functools.partial(normalize, mean=mean, std=std)

  def init(key: Key, batch: Batch) -> Variables:
    return {'model': model.init({'params': key}, scale(pixels(batch['image'])), train=False)}

  def training_loss(variables: Variables, batch: Batch, key: Key) -> Loss:
    augment_key, dropout_key = jax.random.split(key)
    mask = mask_of(batch)
    image, target = pipeline(augment_key, *_examples(batch, mask, num_classes))
    (logits, out), mutated = apply_train(model, variables['model'], scale(image), key=dropout_key)
    _check_logits(logits, num_classes)
    outputs = dict(image=image, target=target, mask=mask, logits=logits, out=out)
    result = _loss(loss, logits, target, mask, label_smoothing)
    return result._replace(mutated={'model': mutated}, outputs=outputs)

  return Task(init, {'model': training_loss}, _predict(model, num_classes, scale))


def _loss(
  loss: str,
  logits: Float[Array, 'b classes'],
  target: Float[Array, 'b classes'],
  mask: Bool[Array, ' b'],
  label_smoothing: float,
) -> Loss:
  # Of a mixed image, the class with the larger share is the right one.
  right = jnp.argmax(logits, axis=-1) == jnp.argmax(target, axis=-1)
  if loss == 'sigmoid':
    target = (target > 0).astype(target.dtype)
  values = LOSSES[loss](logits, target, mask=mask, label_smoothing=label_smoothing)
  value, count = losses.masked_mean(values, mask)
  metrics = {
    'loss': (jnp.sum(values), count),
    'accuracy': (jnp.sum(right & mask, dtype=jnp.float32), count),
  }
  return Loss(value, metrics, mutated={}, weight=count)


def _predict(
  model: nn.Module, num_classes: int, scale: Callable[..., Float[Array, 'b h w c']]
) -> dict[str, Callable[..., Any]]:
  def forward(variables: Variables, batch: Batch) -> tuple[Float[Array, 'b classes'], Any]:
    logits, out = model.apply(variables['model'], scale(pixels(batch['image'])), train=False)
    _check_logits(logits, num_classes)
    return logits.astype(jnp.float32), out

  def logits(variables: Variables, batch: Batch) -> Float[Array, 'b classes']:
    return forward(variables, batch)[0]

  def probabilities(variables: Variables, batch: Batch) -> Float[Array, 'b classes']:
    # Of a sigmoid model too: its yes-or-no answers, given that exactly one class is there.
    return jax.nn.softmax(forward(variables, batch)[0])

  def intermediates(variables: Variables, batch: Batch) -> dict[str, Any]:
    return forward(variables, batch)[1]

  def reader(name: str) -> Callable[[Variables, Batch], Any]:
    return lambda variables, batch: _read(intermediates(variables, batch), name, model)

  return dict(
    logits=logits,
    probabilities=probabilities,
    intermediates=intermediates,
    **{name: reader(name) for name in ('features', 'attention', 'inner_attention')},
  )


def _read(out: dict[str, Any], name: str, model: nn.Module) -> Any:
  if name not in out:
    given = ', '.join(sorted(out)) or 'nothing but logits'
    raise UserError(f'the model {type(model).__name__} gives no {name}: it gives {given}')
  return out[name]


def _examples(
  batch: Batch, mask: Bool[Array, ' b'], num_classes: int
) -> tuple[Float[Array, 'b h w c'], Float[Array, 'b classes']]:
  """Float images and one-hot targets, zero where masked: padding must not mix into neighbours."""
  image = jnp.where(mask[:, None, None, None], pixels(batch['image']), 0.0)
  return image, jnp.where(mask[:, None], jax.nn.one_hot(batch['label'], num_classes), 0.0)


def _check_logits(logits: Shaped[Array, 'b logits'], num_classes: int) -> None:
  if logits.shape[-1] != num_classes:
    raise UserError(
      f'the model gives {logits.shape[-1]} logits, the task has {num_classes} classes: '
      'give both the same num_classes'
    )
