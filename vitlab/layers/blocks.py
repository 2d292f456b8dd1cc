"""Residual blocks, and what stands on their branches."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

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


PLACES = ('pre', 'post', 'branch')


class Block(nn.Module):
  """Transformer block: attention, in a decoder attention to a memory, mlp, each x + branch(x).

  Where the norms stand is `norm_place`:

    'pre'     x + f(norm(x))   (arXiv:2002.04745; ViT, GPT-2)
    'post'    norm(x + f(x))   (arXiv:1706.03762; the Transformer, BERT)
    'branch'  x + norm(f(x))   (res-post-norm, Swin v2, arXiv:2111.09883, section 3.2)

  Attributes:
    attention: Called with tokens and whatever `inputs` hold; returns (tokens, what it has seen).
    mlp: Called with tokens and `train`.
    norm: Copied to norm1, norm2 (and norm3).
    scale: Copied to scale1, scale2 (and scale3) at the end of the branches, or None.
    dropout_rate: On the output of the branches.
    norm_place: One of `PLACES`.
    cross: Attention to a memory, between attention and mlp, or None.
  """

  attention: nn.Module
  mlp: nn.Module
  norm: nn.Module
  scale: nn.Module | None = None
  dropout_rate: float = 0.0
  norm_place: str = 'pre'
  cross: nn.Module | None = None

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b ... d'],
    train: bool = False,
    drop_path_rate: Float[Any, ''] | float | None = None,
    *,
    memory: Any = None,
    memory_mask: Bool[Array, '#b #n #t #s'] | None = None,
    **inputs: Any,
  ) -> tuple[Float[Array, 'b ... d'], Out]:
    """Applies the block.

    Args:
      x: Tokens, or a map of them.
      train: Whether dropout and drop-path act; both draw from the rng 'dropout'.
      drop_path_rate: Probability with which an example skips a branch, or None.
      memory: What `cross` looks at: tokens, or their keys and values.
      memory_mask: True = may look.
      **inputs: Passed on to the attention (mask, bias, angles, past).

    Returns:
      The tokens, and a dict: what the attentions have seen ('attention', 'k', 'v'; of `cross` with
      'cross_' before it), 'attention_out', 'cross_out', 'mlp_out': what the branches add, 'tokens':
      the result.
    """
    out: Out = {}

    def attend(x):
      y, seen = self.attention(x, **inputs)
      out.update(seen)
      return y

    def look(x):
      y, seen = self.cross(x, memory, mask=memory_mask)
      out.update({f'cross_{name}': array for name, array in seen.items()})
      return y

    branches = dict(attention=attend, cross=look, mlp=lambda x: self.mlp(x, train))
    if self.cross is None:
      del branches['cross']
    for i, (name, branch) in enumerate(branches.items(), 1):
      x, out[f'{name}_out'] = self._add(i, x, branch, train, drop_path_rate)
    return x, out | dict(tokens=x)

  def _add(self, i: int, x: Array, branch: Callable, train: bool, rate: Any) -> tuple[Array, Array]:
    """x and a branch in one, and what the branch has given."""
    norm = self.norm.copy(name=f'norm{i}')
    y = branch(norm(x) if self.norm_place == 'pre' else x)
    y = norm(y) if self.norm_place == 'branch' else y
    y = nn.Dropout(self.dropout_rate)(y, deterministic=not train)
    if self.scale is not None:
      y = self.scale.copy(name=f'scale{i}')(y)
    if train and rate is not None:
      y = drop_path(y, rate, self.make_rng('dropout'))
    return (norm(x + y) if self.norm_place == 'post' else x + y), y
