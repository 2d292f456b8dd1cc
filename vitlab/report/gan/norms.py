"""How steep the layers of both players are: the largest singular values of their kernels."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float


class Norm(NamedTuple):
  """How much a layer can lengthen what it is given.

  Attributes:
    player: Whose it is.
    layer: Its path.
    shape: Of its kernel as a matrix.
    largest: Singular value of the kernel.
    sigma: What the layer divides it by: power iteration's guess at the largest one.
  """

  player: str
  layer: str
  shape: tuple[int, int]
  largest: float
  sigma: float


def norms(variables: Mapping[str, Any]) -> list[Norm]:
  """Of all layers with spectral vectors, player by player."""
  found = []
  for player, collections in variables.items():
    for path, u in jax.tree_util.tree_leaves_with_path(collections.get('spectral', {})):
      *names, which = (str(key.key) for key in path)
      if which == 'u':
        layer, params = collections['spectral'], collections['params']
        for name in names:
          layer, params = layer[name], params[name]
        matrix = params['embedding'].T if 'embedding' in params else params['kernel']
        matrix = np.asarray(matrix, np.float64).reshape(-1, len(u))
        sigma = float(np.asarray(layer['v'], np.float64) @ matrix @ np.asarray(u, np.float64))
        found.append(Norm(player, '/'.join(names), matrix.shape[::-1], _largest(matrix), sigma))
  return found


def _largest(matrix: Float[np.ndarray, 'i o']) -> float:
  """Its largest singular value, by the smaller of its two squares."""
  square = matrix @ matrix.T if len(matrix) < matrix.shape[1] else matrix.T @ matrix
  return float(max(np.linalg.eigvalsh(square)[-1], 0.0)) ** 0.5
