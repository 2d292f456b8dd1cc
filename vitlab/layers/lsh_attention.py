"""The attention layers of a Reformer: projections around `vitlab.ops.lsh`.

Both return the attended tokens, and a dict of what they saw: 'attention', the weights [b n t t],
of which `jit` drops what nobody reads, and where there was hashing 'buckets', which may be given
again. None of their projections has a bias.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vitlab.layers.choices import way
from vitlab.layers.dense import Dense, fan_init
from vitlab.ops.lsh import default_buckets, hashed, local_attend, lsh_attend, shared_attend

Seen = dict[str, Array]


class LSHAttention(nn.Module):
  """Multi-head self-attention by hashing, of queries that are keys (arXiv:2001.04451, section 2).

  Texts of one chunk or less, and all if there is no round of hashing, get full attention of the
  same queries, by the same parameters.

  Attributes:
    num_heads: Heads.
    head_dim: Width of each.
    chunk: Tokens of a chunk; divides those of a longer text.
    num_hashes: Rounds of hashing; 0: full attention.
    num_buckets: Of a round, see `hashed`; None: by the length (`default_buckets`).
    context: Tokens of the longest text.
    causal: Whether a token attends to those before it alone, and to itself if there are none.
    same_bucket: Whether it sees its own bucket alone.
    count_once: Whether a pair that meets in several rounds counts as one.
    seed: Of the rotations wherever there is no rng 'dropout', from which training draws others at
      every step.
    dtype: Type of the computation; the softmax is at least float32.
    kernel_init: Initialiser of the kernels; None: Xavier uniform.
  """

  num_heads: int
  head_dim: int
  chunk: int = way()
  num_hashes: int = way()
  num_buckets: Sequence[int] | None = way(default=None)
  context: int = 0
  causal: bool = False
  same_bucket: bool = way(default=False)
  count_once: bool = way(default=False)
  seed: int = way(default=0)
  dtype: Any = jnp.float32
  kernel_init: Callable | None = None

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b t d'],
    *,
    segments: Int[Array, 'b t'] | None = None,
    rotations: Float[Array, 'n k h r'] | None = None,
    buckets: Int[Array, 'b n h t'] | None = None,
  ) -> tuple[Float[Array, 'b t d'], Seen]:
    """Attends within x.

    Args:
      x: Tokens.
      segments: See `lsh_attend`.
      rotations: Of the hashing, instead of drawn ones.
      buckets: Instead of those that x has by the rotations.
    """
    qk, v = (project(self, x, (), name) for name in ('q', 'v'))
    options = dict(causal=self.causal, segments=segments)
    if not self.num_hashes or x.shape[1] <= self.chunk:
      mixed, weights = shared_attend(qk, v, **options)
      return project_back(self, mixed, x.shape[-1]), dict(attention=weights)
    if buckets is None:
      sizes = self.num_buckets or default_buckets(x.shape[1], self.chunk, self.context)
      if rotations is None:
        rotations = self._draw(sum(sizes) // 2)
      buckets = hashed(qk, rotations.astype(qk.dtype), sizes, segments)
    options |= dict(same_bucket=self.same_bucket, count_once=self.count_once)
    mixed, weights = lsh_attend(qk, v, buckets, self.chunk, **options)
    seen = dict(attention=weights, buckets=buckets)
    return project_back(self, mixed, x.shape[-1]), seen

  def _draw(self, width: int) -> Float[Array, 'n k h r']:
    random = self.has_rng('dropout')
    key = self.make_rng('dropout') if random else jax.random.key(self.seed)
    return jax.random.normal(key, (self.num_heads, self.head_dim, self.num_hashes, width))


class LocalAttention(nn.Module):
  """Multi-head self-attention to the own chunk of the text and the one before it.

  Attributes:
    num_heads: Heads.
    head_dim: Width of each.
    chunk: Tokens of a chunk; divides those of a text, or is as long at least.
    causal: Whether a token attends to itself and the tokens before it alone.
    dtype: Type of the computation; the softmax is at least float32.
    kernel_init: Initialiser of the kernels; None: Xavier uniform.
  """

  num_heads: int
  head_dim: int
  chunk: int = way()
  causal: bool = False
  dtype: Any = jnp.float32
  kernel_init: Callable | None = None

  @nn.compact
  def __call__(
    self, x: Float[Array, 'b t d'], *, segments: Int[Array, 'b t'] | None = None
  ) -> tuple[Float[Array, 'b t d'], Seen]:
    """Attends within x, which `segments` divide into documents that do not see one another."""
    q, k, v = project(self, x, (3,), 'qkv')
    mixed, weights = local_attend(q, k, v, self.chunk, causal=self.causal, segments=segments)
    return project_back(self, mixed, x.shape[-1]), dict(attention=weights)


def project(
  layer: nn.Module, x: Float[Array, 'b t d'], many: tuple[int, ...], name: str
) -> Float[Array, '*many b n t k']:
  """What the heads of a layer read in tokens, heads first; several at once if need be."""
  init = layer.kernel_init or fan_init('fan_avg', 'uniform', groups=len(many))
  features = (*many, layer.num_heads, layer.head_dim)
  return jnp.einsum('bt...nk->...bntk', Dense(features, 1, False, layer.dtype, init, name=name)(x))


def project_back(
  layer: nn.Module, mixed: Float[Array, 'b n t k'], width: int
) -> Float[Array, 'b t d']:
  """Tokens from what the heads of a layer give out."""
  init = layer.kernel_init or fan_init('fan_avg', 'uniform', axes=2)
  mixed = jnp.einsum('bntk->btnk', mixed)
  return Dense(width, 2, False, layer.dtype, init, name='out')(mixed)
