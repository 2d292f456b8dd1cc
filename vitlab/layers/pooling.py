"""From many tokens to one vector."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vitlab.errors import unknown
from vitlab.layers.attention import CrossAttention


def class_token(tokens: Float[Array, 'b t d'], num_prefix: int) -> Float[Array, 'b d']:
  """The first token."""
  del num_prefix
  return tokens[:, 0]


def mean(tokens: Float[Array, 'b t d'], num_prefix: int) -> Float[Array, 'b d']:
  """The mean over the patches, without class token and registers (global average pooling)."""
  patches = tokens[:, num_prefix:]
  return patches.mean(1, dtype=jnp.promote_types(patches.dtype, jnp.float32)).astype(tokens.dtype)


def class_token_and_mean(tokens: Float[Array, 'b t d'], num_prefix: int) -> Float[Array, 'b two_d']:
  """The first token and the mean over the patches, one after the other (DINOv2's classifiers)."""
  return jnp.concatenate([class_token(tokens, num_prefix), mean(tokens, num_prefix)], axis=-1)


def maximum(tokens: Float[Array, 'b t d'], num_prefix: int) -> Float[Array, 'b d']:
  """The largest of the patches, number by number."""
  return tokens[:, num_prefix:].max(1)


def mean_and_maximum(tokens: Float[Array, 'b t d'], num_prefix: int) -> Float[Array, 'b d']:
  """The middle between the mean and the largest (timm's 'avgmax')."""
  return (mean(tokens, num_prefix) + maximum(tokens, num_prefix)) / 2


class AttentionPool(nn.Module):
  """MAP head: a learned probe attends to the patches (Scaling ViTs, arXiv:2106.04560, section 3.2).

  Attributes:
    attention: The probe's, to the patches.
    mlp: On a residual branch after it.
    norm: Before the mlp.
  """

  attention: CrossAttention
  mlp: nn.Module
  norm: nn.Module

  @nn.compact
  def __call__(self, tokens: Float[Array, 'b t d'], num_prefix: int) -> Float[Array, 'b d']:
    d = tokens.shape[-1]
    probe = self.param('probe', nn.initializers.xavier_uniform(), (1, d), jnp.float32)
    probe = jnp.broadcast_to(probe.astype(tokens.dtype), (tokens.shape[0], 1, d))
    x, _ = self.attention(probe, tokens[:, num_prefix:])
    return (x + self.mlp(self.norm(x)))[:, 0]


def make_pool(
  name: str, attention: CrossAttention, mlp: nn.Module, norm: nn.Module
) -> Callable[[Array, int], Array]:
  """A pool by name: (tokens, number of tokens before the patches) -> one vector.

  Args:
    name: 'cls', 'map', 'gap' (the mean), 'cls_gap' (class token and mean), 'max' or 'avgmax'; of
      'gap', 'max' and 'avgmax' also with '_norm', whose result whoever pools norms.
    attention: Of 'map', as what follows.
    mlp: See `AttentionPool`.
    norm: See `AttentionPool`.

  Raises:
    UserError: there is no such pool.
  """
  pools = {'gap': mean, 'max': maximum, 'avgmax': mean_and_maximum}
  pools |= {f'{name}_norm': pool for name, pool in pools.items()}
  pools |= {
    'cls': class_token,
    'cls_gap': class_token_and_mean,
    'map': AttentionPool(attention, mlp, norm),
  }
  if name not in pools:
    raise unknown('pool', name, pools)
  return pools[name]
