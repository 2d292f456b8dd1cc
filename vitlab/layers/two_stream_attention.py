"""Attention of contents and queries to contents, by distance and segment (XLNet, arXiv:1906.08237).

The two streams have one set of weights, so they are the rows of one array: first the content of
every token, then queries, each at the place of a token that it is to guess. Contents alone have
keys and values; what a row may see is a mask.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vitlab.layers.dense import Dense
from vitlab.ops.attention import attend, attention_weights
from vitlab.ops.relative import by_key_at


class TwoStreamAttention(nn.Module):
  """Multi-head attention whose logits are a sum of three, each with a bias of its own on queries q:

    (q + content_bias) · k + (q + position_bias) · r + (q + segment_bias) · segment

  k is the key of a content, r that of its distance, and `segment` one of two vectors: that of a key
  in the segment of the query, that of a key in another (section 2.5).

  Attributes:
    num_heads: Heads; each is width / num_heads wide.
    dropout_rate: Probability with which a weight becomes zero in training, after the softmax.
    dtype: Type of the computation; the softmax is at least float32.
    kernel_init: Initialiser of everything.
  """

  num_heads: int
  dropout_rate: float = 0.0
  dtype: Any = jnp.float32
  kernel_init: Callable = nn.initializers.normal(0.02)

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b rows d'],
    train: bool = False,
    *,
    place: Int[Array, 'b rows'],
    distances: Float[Array, 'r d'],
    different: Bool[Array, 'b rows s'],
    mask: Bool[Array, 'b 1 rows s'],
    before: Float[Array, 'b m d'] | None = None,
  ) -> tuple[Float[Array, 'b rows d'], dict[str, Array]]:
    """Attends from all rows to the contents and to what was before them.

    Args:
      x: Contents, then queries.
      train: Whether dropout acts, with the rng 'dropout'.
      place: The number of the key at whose place each row stands.
      distances: The sinusoids of the distances s, s - 1, ....
      different: Whether a row and a key are of different segments.
      mask: True where a row may attend to a key, the keys before the contents first.
      before: Contents before x, to which x attends and which do not attend.

    Returns:
      The attended rows, and the dict of weights, keys and values.
    """
    n, d, keys = self.num_heads, x.shape[-1], mask.shape[-1]
    read = x if before is None else jnp.concatenate([before.astype(x.dtype), x], axis=1)
    q = self._dense((n, d // n), 'q')(x)
    kv = self._dense((2, n, d // n), 'kv')(read[:, :keys])
    k, v = (jnp.einsum('bsnk->bnsk', kv[:, :, i]) for i in range(2))
    r = self._dense((n, d // n), 'r')(distances)

    by_distance = jnp.einsum('bqnk,rnk->bnqr', self._biased(q, 'position_bias'), r)
    segment = self._param('segments', (2, n, d // n))
    by_segment = jnp.einsum('bqnk,cnk->bnqc', self._biased(q, 'segment_bias'), segment)
    bias = by_key_at(by_distance, place, keys, keys)
    bias += jnp.where(different[:, None], by_segment[..., 1:], by_segment[..., :1])
    options = dict(bias=bias * (d // n) ** -0.5, mask=mask)
    q = jnp.einsum('bqnk->bnqk', self._biased(q, 'content_bias'))
    dropped = train and self.dropout_rate
    drop = nn.Dropout(self.dropout_rate, deterministic=False) if dropped else None
    mixed = jnp.einsum('bnqk->bqnk', attend(q, k, v, drop=drop, **options))
    y = self._dense(d, 'out', axes=2)(mixed)
    return y, dict(attention=attention_weights(q, k, **options), k=k, v=v)

  def _biased(self, q: Float[Array, 'b q n k'], name: str) -> Float[Array, 'b q n k']:
    return q + self._param(name, q.shape[2:])

  def _param(self, name: str, shape: tuple[int, ...]) -> Array:
    return self.param(name, self.kernel_init, shape, jnp.float32).astype(self.dtype)

  def _dense(self, features: int | tuple[int, ...], name: str, axes: int = 1) -> Dense:
    return Dense(features, axes, False, self.dtype, self.kernel_init, name=name)
