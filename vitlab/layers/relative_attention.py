"""Attention by content and by distance (Transformer-XL, arXiv:1901.02860, section 3.3)."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from vitlab.layers.dense import Dense
from vitlab.ops.attention import attend, attention_weights
from vitlab.ops.relative import by_key


class RelativeAttention(nn.Module):
  """Multi-head attention to a memory and to the tokens themselves: the four terms of the paper.

  (q + u) k + (q + v) r: a query q meets the content of a key, k, and how far it lies before the
  query, r, by a projection of its own; `content_bias` u and `position_bias` v are what every query
  asks of either.

  Attributes:
    num_heads: Heads.
    head_dim: Width of each.
    dtype: Type of the computation; the softmax is at least float32.
    kernel_init: Initialiser of the kernels and of both biases.
    dropout_rate: Probability with which a weight becomes zero in training, after the softmax.
  """

  num_heads: int
  head_dim: int
  dtype: Any = jnp.float32
  kernel_init: Callable = nn.initializers.normal(0.02)
  dropout_rate: float = 0.0

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b t d'],
    train: bool = False,
    *,
    distances: Float[Array, 'r d'],
    before: Float[Array, 'b m d'] | None = None,
    mask: Bool[Array, '#b #n #t #s'] | None = None,
  ) -> tuple[Float[Array, 'b t d'], dict[str, Array]]:
    """Attends from x to what was before it and to itself.

    Args:
      x: Tokens.
      train: Whether dropout acts, with the rng 'dropout'.
      distances: The sinusoids of the distances r - 1, ..., 0.
      before: Tokens before x, to which x attends and which do not attend.
      mask: True where a query may attend to a key, the keys before x first.

    Returns:
      The attended tokens, and the dict of weights, keys and values.
    """
    heads, init = (self.num_heads, self.head_dim), self.kernel_init
    u, v = (
      self.param(name, init, heads, jnp.float32).astype(self.dtype)
      for name in ('content_bias', 'position_bias')
    )
    qkv = Dense((3, *heads), 1, False, self.dtype, init, name='qkv')
    q, key, value = _apart(qkv(x))
    if before is not None:  # projected by itself: of its inputs nobody needs a gradient
      past = _apart(qkv(before, slice(1, None)))
      key, value = (jnp.concatenate(pair, axis=1) for pair in zip(past, (key, value)))
    key, value = (jnp.einsum('bsnk->bnsk', x) for x in (key, value))
    r = Dense(heads, 1, False, self.dtype, init, name='r')(distances)

    by_distance = jnp.einsum('btnk,rnk->bntr', q + v, r) * self.head_dim**-0.5
    options = dict(bias=by_key(by_distance, key.shape[2], r.shape[0] - 1), mask=mask)
    by_content = jnp.einsum('btnk->bntk', q + u)
    dropped = train and self.dropout_rate
    drop = nn.Dropout(self.dropout_rate, deterministic=False) if dropped else None
    mixed = jnp.einsum('bntk->btnk', attend(by_content, key, value, drop=drop, **options))
    y = Dense(x.shape[-1], 2, False, self.dtype, init, name='out')(mixed)
    return y, dict(attention=attention_weights(by_content, key, **options), k=key, v=value)


def _apart(x: Float[Array, 'b t c n k']) -> list[Float[Array, 'b t n k']]:
  return [x[:, :, i] for i in range(x.shape[2])]
