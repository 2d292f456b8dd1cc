"""What is to king as woman is to man: near words, by cosines of sums and products of cosines."""

import numpy as np
from jaxtyping import Float, Int

METHODS = ('add', 'multiply')


def unit(vectors: Float[np.ndarray, 'words d']) -> Float[np.ndarray, 'words d']:
  """The rows at length 1; those of length 0 stay."""
  length = np.linalg.norm(vectors, axis=-1, keepdims=True)
  return vectors / np.where(length > 0, length, 1)


def nearness(
  units: Float[np.ndarray, 'words d'],
  plus: Int[np.ndarray, 'b p'],
  minus: Int[np.ndarray, 'b m'],
  method: str = 'add',
) -> Float[np.ndarray, 'b words']:
  """How near each word is to sums and differences of words.

  Args:
    units: The vectors of all words, of length 1.
    plus: Words that are added: woman, king.
    minus: Words that are taken away: man.
    method: 'add', the cosine with the sum (3CosAdd, Mikolov et al. 2013), or 'multiply', the
      product of the cosines with what is added over that with what is taken away, each moved to
      0 ... 1 (3CosMul, Levy and Goldberg 2014).
  """
  if method == 'add':
    return unit(units[plus].sum(1) - units[minus].sum(1)) @ units.T
  near = lambda rows: np.prod((1 + units[rows] @ units.T) / 2, axis=1)  # noqa: E731
  return near(plus) / (near(minus) + 1e-6)
