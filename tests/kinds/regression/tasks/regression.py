"""By which angle a picture is turned.

A batch holds `image` (uint8, b h w c), `turn` (float32, b 2: sin and cos of the angle) and `mask`.
The loss is the squared distance of the answer to the point on the circle.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from vitlab.errors import UserError
from vitlab.ops.losses import masked_mean
from vitlab.tasks import Assumed, Batch, Key, Loss, Task, Variables, apply_train


def make(model: nn.Module) -> Task:
  """The task of a model [b h w c] -> ([b 2], intermediates)."""

  def pixels(batch: Batch) -> Float[Array, 'b h w c']:
    return batch['image'].astype(jnp.float32) / 255

  def init(key: Key, batch: Batch) -> Variables:
    return {'model': model.init({'params': key}, pixels(batch))}

  def loss(variables: Variables, batch: Batch, key: Key) -> Loss:
    if 'turn' not in batch:
      raise UserError(f'the task regression needs data with turn, these have {", ".join(batch)}')
    (said, _), mutated = apply_train(model, variables['model'], pixels(batch), key=key)
    _check(said)
    squares = jnp.sum((said - batch['turn']) ** 2, axis=-1)
    value, count = masked_mean(squares, batch['mask'])
    errors = jnp.abs(difference(degrees(said), degrees(batch['turn'])))
    error, _ = masked_mean(errors, batch['mask'])
    metrics = {'loss': (value * count, count), 'degrees': (error * count, count)}
    return Loss(value, metrics, {'model': mutated}, weight=count)

  def angle(variables: Variables, batch: Batch) -> Float[Array, ' b']:
    said, _ = model.apply(variables['model'], pixels(batch), train=False)
    return degrees(said)

  return Task(init, {'model': loss}, {'angle': angle})


def _check(said: Float[Array, 'b n']) -> None:
  if said.shape[-1] != 2:
    raise UserError(f'the model gives {said.shape[-1]} numbers, a direction has 2: num_classes=2')


def degrees(turn: Float[Array, 'b 2']) -> Float[Array, ' b']:
  """(sin, cos) -> -180 to 180, counter-clockwise."""
  return jnp.rad2deg(jnp.arctan2(turn[:, 0], turn[:, 1]))


def difference(one: Float[Array, ' b'], other: Float[Array, ' b']) -> Float[Array, ' b']:
  """The shorter way around the circle."""
  return (one - other + 180) % 360 - 180


def example(facts: Mapping[str, Any]) -> dict[str, Any]:
  image = np.zeros((*facts['image']['image_size'], facts['image']['channels']), np.uint8)
  return dict(image=image, turn=np.zeros(2, np.float32), label=np.int32(0))


def assumed(data: Mapping[str, Any], model: Mapping[str, Any]) -> Assumed | None:
  del model
  if not data.get('side'):
    return None
  facts = dict(image=dict(image_size=(data['side'], data['side']), channels=1))
  return Assumed(facts, example(facts))
