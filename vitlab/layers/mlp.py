"""Feed-forward layers: one token at a time."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vitlab.errors import unknown
from vitlab.layers.dense import Dense, fan_init
from vitlab.ops.activations import gelu

XAVIER = fan_init('fan_avg', 'uniform')


class Mlp(nn.Module):
  """Two layers: down(activation(up(x))), as in the Transformer (arXiv:1706.03762, equation 2).

  Attributes:
    hidden: Width of the hidden layer.
    activation: Elementwise function of the hidden layer.
    dropout_rate: Probability of dropout after the activation.
    dtype: Type of the computation.
    kernel_init: Initialiser of the kernels; Xavier uniform, as in Google's ViTs, by default.
    down_init: Of the last layer's; None: as the others.
  """

  hidden: int
  activation: Callable = nn.relu
  dropout_rate: float = 0.0
  dtype: Any = jnp.float32
  kernel_init: Callable = XAVIER
  down_init: Callable | None = None

  @nn.compact
  def __call__(self, x: Float[Array, '*b d'], train: bool = False) -> Float[Array, '*b d']:
    hidden, down = _dense(self, self.hidden, 'up')(x), _dense(self, x.shape[-1], 'down')
    if not train or not self.dropout_rate:
      return down(hidden, before=self.activation)
    return down(nn.Dropout(self.dropout_rate, deterministic=False)(self.activation(hidden)))


class GatedMlp(nn.Module):
  """down(activation(gate(x)) · up(x)): SwiGLU when the activation is SiLU (arXiv:2002.05202).

  Attributes:
    hidden: Width of the hidden layer.
    activation: Elementwise function of the gate.
    dropout_rate: Probability of dropout after the product.
    dtype: Type of the computation.
    kernel_init: Initialiser of the kernels; Xavier uniform, as in Google's ViTs, by default.
    down_init: Of the last layer's; None: as the others.
  """

  hidden: int
  activation: Callable = nn.silu
  dropout_rate: float = 0.0
  dtype: Any = jnp.float32
  kernel_init: Callable = XAVIER
  down_init: Callable | None = None

  @nn.compact
  def __call__(self, x: Float[Array, '*b d'], train: bool = False) -> Float[Array, '*b d']:
    gate = self.activation(_dense(self, self.hidden, 'gate')(x))
    x, width = gate * _dense(self, self.hidden, 'up')(x), x.shape[-1]
    x = nn.Dropout(self.dropout_rate)(x, deterministic=not train)
    return _dense(self, width, 'down')(x)


def _dense(layer: nn.Module, features: int, name: str) -> Dense:
  last = layer.down_init if name == 'down' else None
  init, bias_init = last or layer.kernel_init, nn.initializers.normal(1e-6)
  return Dense(features, 1, True, layer.dtype, init, bias_init, name=name)


MLPS = {
  'gelu': partial(Mlp, activation=gelu),
  'gelu_tanh': partial(Mlp, activation=partial(jax.nn.gelu, approximate=True)),
  'relu': Mlp,
  'swish': partial(Mlp, activation=nn.silu),
  'swiglu': GatedMlp,
}


def make_mlp(
  name: str,
  hidden: int,
  dropout_rate: float = 0.0,
  dtype: Any = jnp.float32,
  kernel_init: Callable = XAVIER,
  down_init: Callable | None = None,
) -> nn.Module:
  """A feed-forward layer by name.

  Args:
    name: 'gelu' (exact: timm, DeiT, Hugging Face), 'gelu_tanh' (Google's JAX ViTs), 'relu', 'swish'
      (SiLU; Marian), or 'swiglu'.
    hidden: Width of the hidden layer.
    dropout_rate: Probability of dropout before the last layer.
    dtype: Type of the computation.
    kernel_init: Initialiser of the kernels.
    down_init: Of the last layer's; None: as the others.

  Raises:
    UserError: there is no such layer.
  """
  if name not in MLPS:
    raise unknown('mlp', name, MLPS)
  inits = dict(kernel_init=kernel_init, down_init=down_init)
  return MLPS[name](hidden=hidden, dropout_rate=dropout_rate, dtype=dtype, **inits)
