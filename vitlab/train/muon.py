"""Muon for the matrices of a model, AdamW for its other parameters, told apart by their roles.

Matrices are the kernels: of dense layers, and of convolutions with all axes but the last flattened.
Embeddings and the first layer, heads, and vectors (biases, norms, tokens) are left to AdamW, as in
the original (https://github.com/KellerJordan/Muon). `optax.contrib.muon` would move these with
Nesterov's momentum, whose first step is 1.47 times the learning rate.
"""

import math
import re
from typing import Any

import jax
import optax
from optax import contrib

from vitlab import names
from vitlab.errors import UserError

_HEADS = re.compile(r'(^|/)(q|k|v|kv|qkv)/kernel$')  # kernel [in ... heads head_dim]
_GATES = re.compile(r'(^|/)(hidden|context|\w*input)/kernel$')  # kernel [in gates out]
_FIRST_OR_LAST = re.compile(r'(^|/)(stem|\w*head\w*)/')


def muon(
  learning_rate: optax.Schedule, *, consistent_rms: float | None = 0.2, **keywords: Any
) -> optax.GradientTransformation:
  """The optimiser, without decay of the weights.

  Its state has the form of `contrib.muon`'s.

  Args:
    learning_rate: A function of the step.
    consistent_rms: The root mean square that updates of matrices are scaled to, whatever their
      shape, so that the learning rate of AdamW suits them, too (arXiv:2502.16982); None for
      sqrt(max(1, out / in)) of the original.
    **keywords: Those of `contrib.scale_by_muon`; with 'adam_' in front, those of `optax.adamw`.

  Raises:
    UserError: coefficients that are given by a name.
  """
  if isinstance(keywords.get('ns_coeffs'), str):
    raise UserError(
      f'optim.ns_coeffs={keywords["ns_coeffs"]!r}: give three numbers, or rows of three'
    )
  adam = {key[5:]: keywords.pop(key) for key in list(keywords) if key.startswith('adam_')}
  adam |= {key: keywords[key] for key in ('eps', 'mu_dtype') if key in keywords}

  def scaled(update: jax.Array, axes: contrib.MuonDimensionNumbers) -> jax.Array:
    rows, columns = (math.prod(update.shape[axis] for axis in side) for side in axes)
    if consistent_rms is None:
      return update * max(1, columns / rows) ** 0.5
    return update * consistent_rms * max(rows, columns) ** 0.5

  by_muon = optax.chain(
    contrib.scale_by_muon(weight_dimension_numbers=_matrices, **keywords),
    optax.stateless(lambda updates, _: jax.tree.map(scaled, updates, _matrices(updates))),
    optax.identity(),  # in the place of the decay
    optax.scale_by_learning_rate(learning_rate),
  )
  by_adam = optax.adamw(learning_rate, weight_decay=0.0, **adam)
  return optax.partition({'muon': by_muon, 'adam': by_adam}, _labels)


def matrix(name: str, ndim: int) -> contrib.MuonDimensionNumbers | None:
  """The axes in and out of a kernel; None for a parameter with another role.

  Axes that are neither count matrices: stacked blocks, query, key and value, a cell's gates.
  """
  axes = tuple(range(int(names.is_stacked(name)), ndim))
  other = names.EMBEDDING.search(name) or _FIRST_OR_LAST.search(name)
  if not name.endswith('kernel') or len(axes) < 2 or other:
    return None
  if _HEADS.search(name) and len(axes) > 2:
    return contrib.MuonDimensionNumbers(axes[:1], axes[-2:])
  if _GATES.search(name):
    return contrib.MuonDimensionNumbers(axes[:1], axes[-1:])
  return contrib.MuonDimensionNumbers(axes[:-1], axes[-1:])


def _matrices(params: Any) -> Any:
  """The axes of every matrix in a tree of parameters, or in a masked part of it."""
  return jax.tree_util.tree_map_with_path(
    lambda path, leaf: matrix(names.join(path), leaf.ndim), params
  )


def _labels(params: Any) -> Any:
  return jax.tree_util.tree_map_with_path(
    lambda path, leaf: 'adam' if matrix(names.join(path), leaf.ndim) is None else 'muon', params
  )
