"""Scaled dot-product attention (Vaswani et al. 2017, arXiv:1706.03762, equation 1).

One operation for every family: self- and cross-attention, causal, masked, biased. Heads come before
tokens (`b n t k`), so that both products are batched matmuls over contiguous memory. On a GPU the
fused cuDNN kernel runs wherever it can (16-bit numbers, head sizes it knows); everywhere else the
softmax below does, in at least float32, and over long rows in memory for a few queries at a time.
"""

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from vitlab.ops.matmul import matmul

# Long rows are computed some queries at a time where this makes at least four blocks: as many of
# them as have so many logits (64 MiB in float32), but enough to keep a machine busy.
BLOCK, LEAST_ROWS = 2**24, 64
STEPS = 4  # of the stairs under which causal attention looks for keys: 5/8 of all pairs


def attend(
  q: Float[Array, 'b n t k'],
  k: Float[Array, 'b n s k'],
  v: Float[Array, 'b n s v'],
  *,
  bias: Float[Array, '#b #n #t #s'] | None = None,
  mask: Bool[Array, '#b #n #t #s'] | None = None,
  causal: bool = False,
  scale: float | None = None,
  drop: Callable[[Array], Array] | None = None,
) -> Float[Array, 'b n t v']:
  """Attention: softmax(scale · q kᵀ + bias) v.

  Args:
    q: Queries.
    k: Keys.
    v: Values.
    bias: Added to the logits (relative positions).
    mask: True = may look. A query that may look nowhere looks everywhere alike; it is padding.
    causal: The last query sees all keys, the one before it all but the last key, and so on; keys
      that none of some queries sees are not compared with them.
    scale: Factor on q kᵀ, by default 1 / sqrt(k).
    drop: Dropout of the weights, after the softmax; None: all of them count.

  Returns:
    The mixed values, in the dtype of v.
  """
  if drop is not None:
    return mix(_logits(q, k, bias, mask, causal, scale), v, drop)
  if _cudnn_can(q, k, v, bias, mask, causal):
    return _fused(q, k, v, bias, mask, causal, scale, 'cudnn')
  t, s = q.shape[2], k.shape[2]
  steps = max(min(STEPS, t // LEAST_ROWS), 1) if causal and t <= s else 1
  # A program that is exported takes batches of any size: what it does is that of one row.
  batch = q.shape[0] if isinstance(q.shape[0], int) else 1
  rows = max(BLOCK // (batch * q.shape[1] * s), LEAST_ROWS)
  rows = min(rows, t // (2 * steps)) if 4 * rows <= t else t
  edges = [t * step // steps for step in range(steps + 1)]
  mixed = [
    _mixed(rows, *_step(first, last, q, k, v, bias, mask), causal, scale)
    for first, last in itertools.pairwise(edges)
  ]
  return jnp.concatenate(mixed, axis=2)


def attention_weights(
  q: Float[Array, 'b n t k'],
  k: Float[Array, 'b n s k'],
  *,
  bias: Float[Array, '#b #n #t #s'] | None = None,
  mask: Bool[Array, '#b #n #t #s'] | None = None,
  causal: bool = False,
  scale: float | None = None,
) -> Float[Array, 'b n t s']:
  """The weights with which `attend` mixes the values, for looking at: rows sum to one.

  Nobody pays for them who does not read them: inside `jit` an unread result is dropped.
  """
  return jax.nn.softmax(_logits(q, k, bias, mask, causal, scale), axis=-1)


def additive_logits(
  q: Float[Array, '*b t k'], k: Float[Array, '*b s k'], weight: Float[Array, ' k']
) -> Float[Array, '*b t s']:
  """weightᵀ tanh(q + k), in at least float32: the first attention's own way to compare.

  Bahdanau et al. 2014 (arXiv:1409.0473), appendix A.1.2.
  """
  dtype = jnp.promote_types(q.dtype, jnp.float32)
  together = jnp.tanh(q[..., :, None, :] + k[..., None, :, :])
  return jnp.einsum('...tsk,k->...ts', together, weight, preferred_element_type=dtype)


def hide(logits: Float[Array, '*b t s'], mask: Bool[Array, '... #t #s']) -> Float[Array, '*b t s']:
  """Very negative where the mask is False; finite, because a row of -inf is a NaN.

  That NaN gradients would carry into every parameter.
  """
  return jnp.where(mask, logits, 0.7 * jnp.finfo(logits.dtype).min)


def mix(
  logits: Float[Array, '*b t s'],
  v: Float[Array, '*b s v'],
  drop: Callable[[Array], Array] | None = None,
) -> Float[Array, '*b t v']:
  """softmax(logits) v, in the dtype of v, whatever two tokens were compared with."""
  # The rows are divided by their sums after the product with v: t·v divisions instead of t·s.
  unnormalised = jnp.exp(logits - jax.lax.stop_gradient(logits.max(-1, keepdims=True)))
  total = unnormalised.sum(-1, keepdims=True)
  if drop is not None:  # behind the sum: what is left of a row does not share its part
    unnormalised = drop(unnormalised)
  mixed = matmul(unnormalised.astype(v.dtype), v, logits.dtype)
  return (mixed / total).astype(v.dtype)


def _logits(q, k, bias, mask, causal, scale):
  """scale · q kᵀ + bias in at least float32, very negative where the query may not look."""
  scale = q.shape[-1] ** -0.5 if scale is None else scale
  dtype = jnp.promote_types(q.dtype, jnp.float32)
  # Queries are fewer numbers to scale than logits, but in 16 bits they would lose digits by it.
  q, scale = (q * scale, 1) if q.dtype == dtype else (q, scale)
  logits = matmul(q, k.mT, dtype) * scale
  if bias is not None:
    logits += bias.astype(dtype)
  if causal:
    t, s = logits.shape[-2:]
    mask = jnp.tril(jnp.ones((t, s), bool), s - t) & (True if mask is None else mask)
  return logits if mask is None else hide(logits, mask)


def _step(first, last, q, k, v, bias, mask):
  """Some of the queries, with the keys that the last of them sees in causal attention."""
  t, s = q.shape[2], k.shape[2]
  seen = s - t + last

  def cut(x):
    if x is None:
      return x
    x = x[:, :, first:last] if x.shape[2] == t else x
    return x[..., :seen] if x.shape[3] == s else x

  return q[:, :, first:last], k[:, :, :seen], v[:, :, :seen], cut(bias), cut(mask)


def _mixed(rows, q, k, v, bias, mask, causal, scale):
  """`attend`, so many rows of queries at a time."""
  if rows < q.shape[2]:
    return _in_blocks(rows, q, k, v, bias, mask, causal, scale)
  return mix(_logits(q, k, bias, mask, causal, scale), v)


def _in_blocks(rows, q, k, v, bias, mask, causal, scale):
  """`attend`, some queries at a time, whose logits the gradient computes again: O(t) memory.

  Rabe and Staats 2021 (arXiv:2112.05682), with all keys at a time.
  """
  t, s = q.shape[2], k.shape[2]
  of_rows = {
    name: x
    for name, x in dict(q=q, bias=bias, mask=mask).items()
    if x is not None and x.shape[2] == t
  }
  shared = dict(bias=bias, mask=mask)

  @jax.checkpoint
  def block(first, own):
    own = shared | own
    seen = own['mask']
    if causal:
      last = first + jnp.arange(own['q'].shape[2]) + s - t
      seen = (jnp.arange(s) <= last[:, None]) & (True if seen is None else seen)
    return mix(_logits(own['q'], k, own['bias'], seen, False, scale), v)

  whole = t - t % rows
  blocks = {
    name: jnp.moveaxis(x[:, :, :whole].reshape(*x.shape[:2], -1, rows, x.shape[-1]), 2, 0)
    for name, x in of_rows.items()
  }
  out = jax.lax.map(lambda at: block(*at), (jnp.arange(0, whole, rows), blocks))
  out = jnp.moveaxis(out, 0, 2).reshape(*q.shape[:2], whole, v.shape[-1])
  if whole == t:
    return out
  rest = block(whole, {name: x[:, :, whole:] for name, x in of_rows.items()})
  return jnp.concatenate([out, rest], axis=2)


def _cudnn_can(q, k, v, bias, mask, causal) -> bool:
  """Whether cuDNN's fused kernel takes these operands; what it refuses raises in jax."""
  if jax.default_backend() != 'gpu' or q.dtype not in (jnp.bfloat16, jnp.float16):
    return False
  if q.shape[-1] % 8 or q.shape[-1] > 128 or q.shape[-1] != v.shape[-1]:
    return False
  if causal and q.shape[2] != k.shape[2]:  # there, the first query sees the first key
    return False
  # Its gradient with a bias (masks become biases) needs even lengths, and no broadcasting there.
  lengths = (q.shape[2], k.shape[2])
  extras = [x for x in (bias, mask) if x is not None]
  return (
    not extras or not any(n % 2 for n in lengths) and all(x.shape[2:] == lengths for x in extras)
  )


def _fused(q, k, v, bias, mask, causal, scale, implementation):
  """`attend` through `jax.nn`, whose layout has tokens before heads."""
  q, k, v = (jnp.swapaxes(x, 1, 2) for x in (q, k, v))
  bias = bias if bias is None else bias.astype(q.dtype)
  options = dict(bias=bias, mask=mask, is_causal=causal, scale=scale)
  out = jax.nn.dot_product_attention(q, k, v, **options, implementation=implementation)
  return jnp.swapaxes(out, 1, 2)
