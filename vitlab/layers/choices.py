"""What the words that all families share stand for in a config."""

import flax.linen as nn
import jax.numpy as jnp

from vitlab.errors import UserError, unknown
from vitlab.layers.dense import Dense


def check_rates(**rates: float) -> None:
  """Raises UserError unless all are probabilities below 1."""
  for name, rate in rates.items():
    if not 0 <= rate < 1:
      raise UserError(f'{name}={rate} is not a probability below 1')


def compute_dtype(name: str) -> jnp.dtype:
  """What a model computes in; UserError lists the names."""
  names = ('bfloat16', 'float16', 'float32', 'float64')
  if name not in names:
    raise unknown('dtype', name, names)
  return jnp.dtype(name)


def classifier(num_classes: int | None, dtype: jnp.dtype) -> Dense | None:
  """The head, in at least float32: it starts at zero, so that the first loss is that of a guess.

  Without classes there is none.
  """
  if num_classes is None:
    return None
  zeros = nn.initializers.zeros
  return Dense(num_classes, dtype=jnp.promote_types(dtype, jnp.float32), kernel_init=zeros)
