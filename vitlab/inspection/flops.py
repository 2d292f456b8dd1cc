"""FLOPs of a function, counted in its jaxpr: exact for matmuls and convolutions, nothing else.

2 FLOPs per multiply-add. Unlike XLA's own cost analysis it multiplies the body of a scan by its
length and does not depend on what the compiler fuses.
"""

import collections
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend import core
from jax.interpreters import partial_eval

# cuDNN's attention -> its products as wide as keys, and as values; the gradient makes logits again.
_FUSED = {'dot_product_attention_fwd_wrapper': (1, 1), 'dot_product_attention_bwd_wrapper': (3, 2)}


def count(function: Callable[..., Any], *arguments: Any) -> dict[str, float]:
  """FLOPs of `function(*arguments)` by the dtype of the operands, e.g. {'bfloat16': 9.2e9}.

  Args:
    function: Anything that JAX can trace; it is not run.
    *arguments: Arrays or `jax.ShapeDtypeStruct`s.
  """
  return count_jaxpr(jax.make_jaxpr(function)(*arguments))


def count_jaxpr(closed: core.ClosedJaxpr) -> dict[str, float]:
  """As `count`, of what is traced already.

  What no output depends on does not count. A while loop counts as one turn, a cond as its dearest
  branch.
  """
  jaxpr, _ = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))
  return _count(jaxpr)


def _count(jaxpr: core.Jaxpr) -> dict[str, float]:
  total: collections.Counter[str] = collections.Counter()
  for equation in jaxpr.eqns:
    name = equation.primitive.name
    if name == 'dot_general':
      total[_dtype(equation)] += _dot_general(equation)
    elif name == 'conv_general_dilated':
      total[_dtype(equation)] += _convolution(equation)
    elif name in _FUSED:
      total[_dtype(equation)] += _attention(equation)
    elif name == 'cond':
      branches = [_count(branch.jaxpr) for branch in equation.params['branches']]
      total.update(max(branches, key=lambda flops: sum(flops.values())))
    else:
      turns = equation.params['length'] if name == 'scan' else 1
      for inner in _inner(equation):
        total.update({dtype: turns * flops for dtype, flops in _count(inner).items()})
  return dict(total)


def _inner(equation: core.JaxprEqn) -> Iterator[core.Jaxpr]:
  """The jaxprs that an equation (jit, remat, custom_vjp, while, ...) runs."""
  for value in equation.params.values():
    for item in value if isinstance(value, (tuple, list)) else (value,):
      if isinstance(item, core.ClosedJaxpr):
        yield item.jaxpr
      elif isinstance(item, core.Jaxpr):
        yield item


def _dtype(equation: core.JaxprEqn) -> str:
  return str(equation.invars[0].aval.dtype)


def _dot_general(equation: core.JaxprEqn) -> float:
  (contracted, _), _ = equation.params['dimension_numbers']
  left = equation.invars[0].aval.shape
  return 2.0 * math.prod(equation.outvars[0].aval.shape) * math.prod(left[i] for i in contracted)


def _convolution(equation: core.JaxprEqn) -> float:
  # Every output value is a dot product over the kernel's window and its input channels (the kernel
  # already holds only those of one group).
  kernel = equation.invars[1].aval.shape
  numbers = equation.params['dimension_numbers'].rhs_spec
  per_output = math.prod(kernel) / kernel[numbers[0]]
  return 2.0 * math.prod(equation.outvars[0].aval.shape) * per_output


def _attention(equation: core.JaxprEqn) -> float:
  (b, t, n, k), (_, s, *_), (*_, v) = (operand.aval.shape for operand in equation.invars[:3])
  of_keys, of_values = _FUSED[equation.primitive.name]
  return 2.0 * b * n * t * s * (of_keys * k + of_values * v)
