"""The Transformer block, which ViT, Swin, TNT and the Transformer share."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from vitlab.ops.regularisation import drop_path

PLACES = ('pre', 'post', 'branch')


class Block(nn.Module):
  """x + attention(x), in a decoder x + cross(x, memory), then x + mlp(x).

  Where the norms stand is `norm_place`:

    'pre'     x + f(norm(x))   (arXiv:2002.04745; ViT, GPT-2)
    'post'    norm(x + f(x))   (arXiv:1706.03762; the Transformer, BERT)
    'branch'  x + norm(f(x))   (res-post-norm, Swin v2, arXiv:2111.09883, section 3.2)

  Attributes:
    attention: Called with tokens, `train` and whatever `inputs` hold; returns (tokens, a dict of
      its weights, keys and values).
    mlp: Called with tokens and `train`.
    norm: Copied to norm1, norm2 (and norm3).
    scale: Copied to scale1, scale2 (and scale3) at the end of the branches, or None.
    dropout_rate: Probability with which an output of a branch becomes zero in training.
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
    memory_position: Float[Array, '#b s c'] | None = None,
    memory_bias: Float[Array, '#b #n #t #s'] | None = None,
    position: Float[Array, '#b t d'] | None = None,
    **inputs: Any,
  ) -> tuple[Float[Array, 'b ... d'], dict[str, Array]]:
    """Applies the block.

    Args:
      x: Tokens, or a map of them.
      train: Whether dropout and drop-path act; both draw from the rng 'dropout'.
      drop_path_rate: Probability with which an example skips a branch, or None.
      memory: What `cross` attends to: tokens, or their keys and values.
      memory_mask: True where a token may attend to the memory.
      memory_position: Where the tokens of the memory are: in the keys of `cross`.
      memory_bias: Bias of the attention logits of `cross`.
      position: Where the tokens are: in queries and keys of the attention, in queries of `cross`.
      **inputs: Passed on to the attention (mask, bias, angles, past).

    Returns:
      The tokens, and a dict: 'attention', 'k', 'v' of the attention, the same of `cross` with
      'cross_' before it, 'attention_out', 'cross_out', 'mlp_out': what the branches add, 'tokens':
      the result.
    """
    here = {} if position is None else dict(position=position)
    y, out = self.attention(self._norm_first(1, x), train, **inputs, **here)
    x, attention_out = self._add(1, x, y, train, drop_path_rate)
    out = out | dict(attention_out=attention_out)

    if self.cross is not None:
      how = dict(mask=memory_mask, bias=memory_bias, context_position=memory_position)
      y, seen = self.cross(self._norm_first(2, x), memory, train, **how, **here)
      x, cross_out = self._add(2, x, y, train, drop_path_rate)
      out |= {f'cross_{name}': array for name, array in seen.items()} | dict(cross_out=cross_out)

    last = 2 if self.cross is None else 3
    y = self.mlp(self._norm_first(last, x), train)
    x, mlp_out = self._add(last, x, y, train, drop_path_rate)
    return x, out | dict(mlp_out=mlp_out, tokens=x)

  def _norm_first(self, i: int, x: Array) -> Array:
    """What branch i reads."""
    return self._norm(i, x) if self.norm_place == 'pre' else x

  def _add(self, i: int, x: Array, y: Array, train: bool, rate: Any) -> tuple[Array, Array]:
    """x + y for the output y of branch i, and what was added."""
    if self.norm_place == 'branch':
      y = self._norm(i, y)
    y = nn.Dropout(self.dropout_rate)(y, deterministic=not train)
    if self.scale is not None:
      y = self.scale.copy(name=f'scale{i}')(y)
    if train and rate is not None:
      y = drop_path(y, rate, self.make_rng('dropout'))
    x = x + y
    return (self._norm(i, x) if self.norm_place == 'post' else x), y

  def _norm(self, i: int, x: Array) -> Array:
    return self.norm.copy(name=f'norm{i}')(x)


class LayerScale(nn.Module):
  """A learned factor per channel on a residual branch (CaiT, arXiv:2103.17239).

  Attributes:
    value: The factor at the start: 1e-5 in deep ViTs, 1e-4 in DeiT III.
  """

  value: float

  @nn.compact
  def __call__(self, x: Float[Array, '*b d']) -> Float[Array, '*b d']:
    gamma = self.param('gamma', nn.initializers.constant(self.value), x.shape[-1:], jnp.float32)
    return x * gamma.astype(x.dtype)


def make_scale(value: float) -> LayerScale | None:
  """A `LayerScale` that starts from this value; none for 0."""
  return LayerScale(value) if value else None
