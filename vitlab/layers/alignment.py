"""Alignment: how a decoder's state is compared with what an encoder has seen.

The three scores of the classics, each as keys (projected once a sentence) and logits (each step):

| name             | score(s, h)             | source                                            |
| 'additive'       | vᵀ tanh(W_q s + W_k h)  | Bahdanau et al. 2014, arXiv:1409.0473             |
| 'multiplicative' | (W_q s)ᵀ (W_k h)        | Vaswani et al. 2017, arXiv:1706.03762: one head   |
| 'general'        | sᵀ W h                  | Luong et al. 2015, arXiv:1508.04025, section 3.1  |

Softmax and mixture are those of every attention here (`vitlab.ops.attention`).
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from vitlab.errors import unknown
from vitlab.layers.dense import Dense, fan_init
from vitlab.ops.attention import additive_logits, hide, mix

XAVIER = fan_init('fan_avg', 'uniform')


class Additive(nn.Module):
  """vᵀ tanh(W_q s + W_k h + b).

  Attributes:
    width: Of the space in which they are compared.
    dtype: What is computed in; the logits are at least float32.
  """

  width: int
  dtype: Any = jnp.float32

  def setup(self):
    self.query = Dense(self.width, use_bias=False, dtype=self.dtype, kernel_init=XAVIER)
    self.key = Dense(self.width, dtype=self.dtype, kernel_init=XAVIER)
    self.v = self.param('v', nn.initializers.normal(self.width**-0.5), (self.width,), jnp.float32)

  def keys(self, hidden: Float[Array, 'b s h']) -> Float[Array, 'b s k']:
    return self.key(hidden)

  def logits(self, state: Float[Array, 'b t d'], keys: Float[Array, 'b s k']):
    return additive_logits(self.query(state), keys, self.v.astype(self.dtype))


class Multiplicative(nn.Module):
  """scale · (W_q s)ᵀ (W_k h).

  Attributes:
    width: Of the space in which they are compared.
    dtype: What is computed in; the logits are at least float32.
    scaled: Whether the scale is 1 / sqrt(width), or one.
    project_query: Whether there is a W_q: without it this is Luong's general score, and the width
      that of the state.
  """

  width: int
  dtype: Any = jnp.float32
  scaled: bool = False
  project_query: bool = True

  def setup(self):
    options = dict(use_bias=False, dtype=self.dtype, kernel_init=XAVIER)
    if self.project_query:
      self.query = Dense(self.width, **options)
    self.key = Dense(self.width, **options)

  def keys(self, hidden: Float[Array, 'b s h']) -> Float[Array, 'b s k']:
    return self.key(hidden)

  def logits(self, state: Float[Array, 'b t d'], keys: Float[Array, 'b s k']):
    q = self.query(state) if self.project_query else state
    dtype = jnp.promote_types(q.dtype, jnp.float32)
    scale = self.width**-0.5 if self.scaled else 1.0
    return scale * jnp.einsum('btk,bsk->bts', q, keys, preferred_element_type=dtype)


def align(
  logits: Float[Array, 'b t s'], hidden: Float[Array, 'b s h'], mask: Bool[Array, 'b s']
) -> tuple[Float[Array, 'b t h'], Float[Array, 'b t s']]:
  """The contexts c = Σ_i α_i h_i with α = softmax(logits) over what the mask keeps, and the α."""
  logits = hide(logits, mask[:, None])
  return mix(logits, hidden), nn.softmax(logits)


def make_alignment(name: str, width: int, dtype: Any = jnp.float32) -> nn.Module:
  """An alignment by name, comparing in as many dimensions as the state has.

  Args:
    name: 'additive', 'multiplicative', 'scaled_multiplicative' or 'general'.
    width: Of the decoder's state.
    dtype: What is computed in.

  Raises:
    UserError: there is no such alignment.
  """
  kinds = {
    'additive': Additive(width, dtype),
    'multiplicative': Multiplicative(width, dtype),
    'scaled_multiplicative': Multiplicative(width, dtype, scaled=True),
    'general': Multiplicative(width, dtype, project_query=False),
  }
  if name not in kinds:
    raise unknown('attention', name, kinds)
  return kinds[name]
