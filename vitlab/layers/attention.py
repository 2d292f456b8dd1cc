"""Multi-head attention layers: projections around `vitlab.ops.attention`.

All return the attended tokens, and {'attention': weights [b n t s], 'k', 'v': keys and values
[b m s k]}, of which `jit` drops what nobody reads. A decoder that generates token by token keeps
'k' and 'v' as its cache and passes them back, so that nothing is projected twice.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from vitlab.layers.dense import Dense, fan_init
from vitlab.ops.attention import attend, attention_weights
from vitlab.ops.positions import rotate
from vitlab.ops.precision import wide

Seen = dict[str, Array]
KeysAndValues = tuple[Float[Array, 'b m s k'], Float[Array, 'b m s k']]


class SelfAttention(nn.Module):
  """Multi-head self-attention with one fused projection for queries, keys and values.

  With grouped queries (Ainslie et al. 2023, arXiv:2305.13245) several heads of queries, neighbours,
  share keys and values: one projection for queries, one for keys and values, and a smaller cache.

  Attributes:
    num_heads: Heads; each is width / num_heads wide.
    num_kv_heads: Heads of keys and values, which divide those of queries; None: as many.
    dropout_rate: Probability with which a weight becomes zero in training, after the softmax.
    qkv_bias: Whether queries, keys and values have biases; the output projection always has.
    qk_norm: Norm over each head's queries and keys (Henry et al. 2020, arXiv:2010.04245;
      ViT-22B, arXiv:2302.05442), or None.
    dtype: Type of the computation; the softmax is at least float32.
    causal: Whether a token attends to itself and the tokens before it alone.
    kernel_init: Initialiser of the kernels; None: Xavier uniform, as in Google's ViTs.
    out_init: Of the output projection's; None: as the others.
  """

  num_heads: int
  qkv_bias: bool = True
  qk_norm: nn.Module | None = None
  dtype: Any = jnp.float32
  causal: bool = False
  kernel_init: Callable | None = None
  out_init: Callable | None = None
  num_kv_heads: int | None = None
  dropout_rate: float = 0.0

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b t d'],
    train: bool = False,
    *,
    mask: Bool[Array, '#b #n #t #s'] | None = None,
    bias: Float[Array, '#b #n #t #s'] | None = None,
    angles: Float[Any, '... t half'] | None = None,
    position: Float[Array, '#b t d'] | None = None,
    past: KeysAndValues | None = None,
    length: Int[Array, ''] | None = None,
  ) -> tuple[Float[Array, 'b t d'], Seen]:
    """Attends within x.

    Args:
      x: Tokens.
      train: Whether dropout acts, with the rng 'dropout'.
      mask: True where a query may attend to a key.
      bias: Bias of the attention logits.
      angles: Rotary angles of the tokens (`vitlab.ops.positions`), the same of all rows and heads
        or with axes for these.
      position: Where the tokens are: added to what queries and keys are made of, not values (DETR,
        arXiv:2005.12872).
      past: Keys and values of the tokens before x, padded to s places for those of x and of later
        tokens; x attends to the tokens before it, too, and not to the padding.
      length: Number of tokens in the past.

    Returns:
      The attended tokens, and the dict of weights, keys and values; 'k' and 'v' are the past with
      those of x written behind it.
    """
    q, k, v = self._project(x, _placed(x, position))
    q, k = _norm(self.qk_norm, 'q_norm', q), _norm(self.qk_norm, 'k_norm', k)
    if angles is not None:
      q, k = rotate(q, angles), rotate(k, angles)
    options = dict(mask=mask, bias=bias, causal=self.causal)
    drop = _dropout(self.dropout_rate, train)
    if past is not None:
      k, v = (_write(old, new, length) for old, new in zip(past, (k, v)))
      options |= dict(mask=self._written(x.shape[1], k.shape[2], length, mask), causal=False)
    return _mix(self, x.shape[-1], q, k, v, options, self.out_init or self.kernel_init, drop)

  def _project(self, x: Float[Array, 'b t d'], placed: Float[Array, 'b t d']) -> list[Array]:
    """Queries [b n t k] and keys [b m t k] of the placed tokens, values [b m t k] of x."""
    n, m = self.num_heads, self.num_kv_heads or self.num_heads
    k, init = x.shape[-1] // n, self.kernel_init or fan_init('fan_avg', 'uniform', groups=1)
    if m == n:
      qkv = Dense((3, n, k), 1, self.qkv_bias, self.dtype, init, name='qkv')
      return _values_last(qkv, placed, x)
    q_init = self.kernel_init or fan_init('fan_avg', 'uniform')
    q = Dense((n, k), 1, self.qkv_bias, self.dtype, q_init, name='q')(placed)
    kv = Dense((2, m, k), 1, self.qkv_bias, self.dtype, init, name='kv')
    return [jnp.einsum('btnk->bntk', q), *_values_last(kv, placed, x)]

  def _written(self, t: int, s: int, length: Int[Array, ''], mask: Any) -> Bool[Array, '_ _ t s']:
    """The mask of t tokens behind the first `length`: the places among s that are written."""
    last = length + jnp.broadcast_to(jnp.arange(t) if self.causal else t - 1, t)
    written = (jnp.arange(s) <= last[:, None])[None, None]
    return written if mask is None else mask & written


class CosineAttention(nn.Module):
  """Multi-head self-attention by cosines: softmax(τ · cos(q, k) + bias) v.

  Swin v2 (arXiv:2111.09883, equation 2). τ = exp(logit_scale) is learned per head, starts at 10 and
  is held to 100. Queries and values have biases, keys do not.

  Attributes:
    num_heads: Heads; each is width / num_heads wide.
    dtype: Type of the computation; cosines and softmax are at least float32.
    kernel_init: Initialiser of the kernels; None: Xavier uniform.
    dropout_rate: Probability with which a weight becomes zero in training, after the softmax.
  """

  num_heads: int
  dtype: Any = jnp.float32
  kernel_init: Callable | None = None
  dropout_rate: float = 0.0

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b t d'],
    train: bool = False,
    *,
    mask: Bool[Array, '#b #n #t #t'] | None = None,
    bias: Float[Array, '#b #n #t #t'] | None = None,
  ) -> tuple[Float[Array, 'b t d'], Seen]:
    """Attends within x; arguments and results are those of `SelfAttention`."""
    d, n = x.shape[-1], self.num_heads
    init = self.kernel_init or fan_init('fan_avg', 'uniform', groups=1)
    qkv = Dense((3, n, d // n), 1, False, self.dtype, init, name='qkv')(x)
    zeros = nn.initializers.zeros
    q_bias, v_bias = (self.param(c, zeros, (n, d // n), jnp.float32) for c in ('q_bias', 'v_bias'))
    qkv += jnp.stack([q_bias, jnp.zeros_like(q_bias), v_bias]).astype(self.dtype)
    q, k, v = _apart(qkv)
    scale = self.param('logit_scale', nn.initializers.constant(np.log(10)), (n,), jnp.float32)
    q = unit(q) * jnp.exp(jnp.minimum(scale, np.log(100)))[:, None, None]
    options = dict(mask=mask, bias=bias, scale=1.0)
    q, k = q.astype(self.dtype), unit(k).astype(self.dtype)
    return _mix(self, d, q, k, v, options, self.kernel_init, _dropout(self.dropout_rate, train))


class CrossAttention(nn.Module):
  """Multi-head attention of one set of tokens to another.

  Attributes:
    num_heads: Heads; each is width / num_heads wide.
    qkv_bias: Whether queries, keys and values have biases; the output projection always has.
    qk_norm: Norm over each head's queries and keys, or None.
    dtype: Type of the computation; the softmax is at least float32.
    dropout_rate: Probability with which a weight becomes zero in training, after the softmax.
    kernel_init: Initialiser of the kernels of queries, keys and values; None: Xavier uniform.
  """

  num_heads: int
  qkv_bias: bool = True
  qk_norm: nn.Module | None = None
  dtype: Any = jnp.float32
  dropout_rate: float = 0.0
  kernel_init: Callable | None = None

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b t d'],
    context: Float[Array, 'b s c'] | KeysAndValues,
    train: bool = False,
    *,
    mask: Bool[Array, '#b #n #t #s'] | None = None,
    bias: Float[Array, '#b #n #t #s'] | None = None,
    position: Float[Array, '#b t d'] | None = None,
    context_position: Float[Array, '#b s c'] | None = None,
  ) -> tuple[Float[Array, 'b t d'], Seen]:
    """Attends from x to the context.

    Args:
      x: Tokens.
      context: Other tokens, or their keys and values from an earlier call.
      train: Whether dropout acts, with the rng 'dropout'.
      mask: True where a token may attend to one of the context.
      bias: Bias of the attention logits.
      position: Where the tokens are: added to what queries are made of.
      context_position: Where those of the context are: added to what keys are made of, not values.

    Returns:
      The attended tokens, and the dict of weights, keys and values.
    """
    d, n = x.shape[-1], self.num_heads
    init = self.kernel_init or fan_init('fan_avg', 'uniform')
    q = Dense((n, d // n), 1, self.qkv_bias, self.dtype, init, name='q')(_placed(x, position))
    q = _norm(self.qk_norm, 'q_norm', jnp.einsum('btnk->bntk', q))
    if isinstance(context, tuple):
      k, v = context
    else:
      init = self.kernel_init or fan_init('fan_avg', 'uniform', groups=1)
      kv = Dense((2, n, d // n), 1, self.qkv_bias, self.dtype, init, name='kv')
      k, v = _values_last(kv, _placed(context, context_position), context)
      k = _norm(self.qk_norm, 'k_norm', k)
    drop = _dropout(self.dropout_rate, train)
    return _mix(self, d, q, k, v, dict(mask=mask, bias=bias), drop=drop)


def _placed(x: Float[Array, 'b t d'], position: Float[Array, '#b t d'] | None) -> Array:
  """The tokens with their positions; x itself where there are none."""
  return x if position is None else x + position.astype(x.dtype)


def _values_last(
  dense: Dense, placed: Float[Array, 'b t d'], x: Float[Array, 'b t d']
) -> list[Float[Array, 'b n t k']]:
  """Projections of the placed tokens, the last, values, of x; one matmul where these are one."""
  if placed is x:
    return _apart(dense(x))
  return [*_apart(dense(placed, slice(-1))), *_apart(dense(x, slice(-1, None)))]


def _apart(x: Float[Array, 'b t c n k']) -> list[Float[Array, 'b n t k']]:
  """Queries, keys and values, heads first; one by one, which XLA:CPU copies twice as fast."""
  return [jnp.einsum('btnk->bntk', x[:, :, i]) for i in range(x.shape[2])]


def _write(
  past: Float[Array, 'b m s k'], new: Float[Array, 'b m t k'], length: Int[Array, '']
) -> Float[Array, 'b m s k']:
  """Writes keys or values behind the first `length`; inside a loop XLA does so in place."""
  return jax.lax.dynamic_update_slice_in_dim(past, new.astype(past.dtype), length, axis=2)


def _norm(norm: nn.Module | None, name: str, x: Array) -> Array:
  return x if norm is None else norm.copy(name=name)(x)


def unit(x: Float[Array, '*b k']) -> Float[Array, '*b k']:
  """x / |x| in at least float32; zero, where a padded key lies, stays zero and has a gradient."""
  x = wide(x)
  return x * jax.lax.rsqrt(jnp.maximum(jnp.square(x).sum(-1, keepdims=True), 1e-24))


def _dropout(rate: float, train: bool) -> Callable[[Array], Array] | None:
  """The dropout of the layer that is called; None where nothing is dropped."""
  return nn.Dropout(rate, deterministic=False) if train and rate else None


def _mix(
  layer: nn.Module,
  width: int,
  q: Float[Array, 'b n t k'],
  k: Float[Array, 'b m s k'],
  v: Float[Array, 'b m s k'],
  options: Mapping,
  init: Callable | None = None,
  drop: Callable[[Array], Array] | None = None,
) -> tuple[Float[Array, 'b t d'], Seen]:
  """Attends and projects back; the weights come from a second, unread computation, undropped."""
  groups = q.shape[1] // k.shape[1]
  keys, values = (jnp.repeat(x, groups, axis=1) if groups > 1 else x for x in (k, v))
  mixed = jnp.einsum('bntk->btnk', attend(q, keys, values, drop=drop, **options))
  init = init or fan_init('fan_avg', 'uniform', axes=2)
  y = Dense(width, 2, True, layer.dtype, init, name='out')(mixed)
  return y, dict(attention=attention_weights(q, keys, **options), k=k, v=v)
