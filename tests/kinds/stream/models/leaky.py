"""A model with a memory: of every row, a fading sum of what it has read so far."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float


class Leaky(nn.Module):
  width: int

  @nn.compact
  def __call__(
    self, signal: Float[Array, 'b t'], train: bool = False
  ) -> tuple[Float[Array, 'b t'], dict]:
    memory = self.variable('memory', 'sum', jnp.zeros, (signal.shape[0],))
    total = memory.value[:, None] * 0.9 ** jnp.arange(1, signal.shape[1] + 1)
    fade = 0.9 ** jnp.maximum(jnp.arange(signal.shape[1])[:, None] - jnp.arange(signal.shape[1]), 0)
    total = total + signal @ jnp.tril(fade).T
    if not self.is_initializing():
      memory.value = total[:, -1]
    x = nn.tanh(nn.Dense(self.width, name='hidden')(total[..., None]))
    return nn.Dense(1, name='head')(x)[..., 0], {}


def make(width: int = 8) -> nn.Module:
  return Leaky(width)
