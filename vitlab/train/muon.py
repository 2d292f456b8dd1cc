"""Muon for the matrices of a model, AdamW for its other parameters, told apart by their roles.

Matrices are the kernels: of dense layers, and of convolutions with all axes but the last flattened.
Embeddings and the first layer, heads, and vectors (biases, norms, tokens) are left to AdamW, as in
the original (https://github.com/KellerJordan/Muon). `optax.contrib.muon` would move these with
Nesterov's momentum, whose first step is 1.47 times the learning rate.
"""

import math
from typing import Any

import jax
import optax
from optax import contrib

from vitlab import names
from vitlab.errors import UserError


def muon(
  learning_rate: optax.Schedule, *, consistent_rms: float | None = 0.2, **keywords: Any
) -> optax.GradientTransformation:
  """The optimiser, without decay of the weights.

  Its state has the form of `contrib.muon`'s.

  Args:
    learning_rate: Learning rate as a function of the step.
    consistent_rms: Root mean square that updates of matrices are scaled to, whatever their shape,
      so that the learning rate of AdamW suits them, too (arXiv:2502.16982); None for
      sqrt(max(1, out / in)) of the original.
    **keywords: Keywords of `contrib.scale_by_muon`; with 'adam_' in front, of `optax.adamw`.

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


def _matrices(params: Any) -> Any:
  """The axes of every matrix in a tree of parameters, or in a masked part of it."""

  def axes(path, leaf):
    found = names.matrix_axes(names.join(path), leaf.ndim)
    return found and contrib.MuonDimensionNumbers(*found)

  return jax.tree_util.tree_map_with_path(axes, params)


def _labels(params: Any) -> Any:
  def label(path, leaf):
    return 'adam' if names.matrix_axes(names.join(path), leaf.ndim) is None else 'muon'

  return jax.tree_util.tree_map_with_path(label, params)
