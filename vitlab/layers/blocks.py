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


def make_scale(value: float) -> LayerScale | None:
  """A `LayerScale` that starts from this value; none for 0."""
  return LayerScale(value) if value else None


class Block(nn.Module):
  """Transformer block: x + attention(norm(x)), then x + mlp(norm(x)).

  Attributes:
    attention: Called with tokens and whatever `inputs` hold; returns (tokens, weights).
    mlp: Called with tokens and `train`.
    norm: Copied to norm1 and norm2.
    scale: Copied to scale1 and scale2 at the end of the branches, or None.
    dropout_rate: On the output of both branches.
    post_norm: Whether the norms end the branches instead of beginning them, x + norm(attention(x)):
      the res-post-norm of Swin v2 (arXiv:2111.09883, section 3.2).
  """

  attention: nn.Module
  mlp: nn.Module
  norm: nn.Module
  scale: nn.Module | None = None
  dropout_rate: float = 0.0
  post_norm: bool = False

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b ... d'],
    train: bool = False,
    drop_path_rate: Float[Any, ''] | float | None = None,
    **inputs: Any,
  ) -> tuple[Float[Array, 'b ... d'], Out]:
    """Applies the block.

    Args:
      x: Tokens, or a map of them.
      train: Whether dropout and drop-path act; both draw from the rng 'dropout'.
      drop_path_rate: Probability with which an example skips a branch, or None.
      **inputs: Passed on to the attention (mask, bias, angles).

    Returns:
      The tokens, and {'attention': weights, 'attention_out', 'mlp_out': what the branches add,
      'tokens': the result}.
    """

    norm1, norm2 = (self.norm.copy(name=name) for name in ('norm1', 'norm2'))

    def before(norm, x):
      return x if self.post_norm else norm(x)

    def add(x, branch, norm, scale):
      branch = norm(branch) if self.post_norm else branch
      branch = nn.Dropout(self.dropout_rate)(branch, deterministic=not train)
      if self.scale is not None:
        branch = self.scale.copy(name=scale)(branch)
      if train and drop_path_rate is not None:
        branch = drop_path(branch, drop_path_rate, self.make_rng('dropout'))
      return x + branch, branch

    attended, weights = self.attention(before(norm1, x), **inputs)
    x, attention_out = add(x, attended, norm1, 'scale1')
    x, mlp_out = add(x, self.mlp(before(norm2, x), train), norm2, 'scale2')
    return x, dict(attention=weights, attention_out=attention_out, mlp_out=mlp_out, tokens=x)
