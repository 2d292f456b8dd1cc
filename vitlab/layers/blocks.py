"""Residual blocks, and what stands on their branches."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vitlab.ops.regularisation import drop_path

Out = dict[str, Array]


class LayerScale(nn.Module):
  """A learned factor per channel on a residual branch (CaiT, arXiv:2103.17239).

  Attributes:
    value: What it starts from: 1e-5 in deep ViTs, 1e-4 in DeiT III.
  """

  value: float

  @nn.compact
  def __call__(self, x: Float[Array, '*b d']) -> Float[Array, '*b d']:
    gamma = self.param('gamma', nn.initializers.constant(self.value), x.shape[-1:], jnp.float32)
    return x * gamma.astype(x.dtype)


class Block(nn.Module):
  """Pre-norm Transformer block: x + attention(norm(x)), then x + mlp(norm(x)).

  Attributes:
    attention: Called with tokens and whatever `inputs` hold; returns (tokens, weights).
    mlp: Called with tokens and `train`.
    norm: Copied to norm1 and norm2.
    scale: Copied to scale1 and scale2 at the end of the branches, or None.
    dropout_rate: On the output of both branches.
  """

  attention: nn.Module
  mlp: nn.Module
  norm: nn.Module
  scale: nn.Module | None = None
  dropout_rate: float = 0.0

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b t d'],
    train: bool = False,
    drop_path_rate: Float[Any, ''] | float | None = None,
    **inputs: Any,
  ) -> tuple[Float[Array, 'b t d'], Out]:
    """Applies the block.

    Args:
      x: Tokens.
      train: Whether dropout and drop-path act; both draw from the rng 'dropout'.
      drop_path_rate: Probability with which an example skips a branch, or None.
      **inputs: Passed on to the attention (mask, bias, angles).

    Returns:
      The tokens, and {'attention': weights, 'attention_out', 'mlp_out': what the branches add,
      'tokens': the result}.
    """

    def add(x, branch, scale):
      branch = nn.Dropout(self.dropout_rate)(branch, deterministic=not train)
      if self.scale is not None:
        branch = self.scale.copy(name=scale)(branch)
      if train and drop_path_rate is not None:
        branch = drop_path(branch, drop_path_rate, self.make_rng('dropout'))
      return x + branch, branch

    attended, weights = self.attention(self.norm.copy(name='norm1')(x), **inputs)
    x, attention_out = add(x, attended, 'scale1')
    x, mlp_out = add(x, self.mlp(self.norm.copy(name='norm2')(x), train), 'scale2')
    return x, dict(attention=weights, attention_out=attention_out, mlp_out=mlp_out, tokens=x)
