"""Word vectors: a word is known by the company it keeps (Mikolov et al. 2013, arXiv:1301.3781)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vitlab.errors import UserError


class Word2Vec(nn.Module):
  """Two tables: the vector that a word predicts with, and the one that it is predicted by.

  Attributes:
    vocab_size: Number of words.
    width: Of the vectors.
  """

  vocab_size: int
  width: int

  def setup(self):
    shape = self.vocab_size, self.width
    self.source = _Table(shape, lambda *args: (jax.random.uniform(*args) - 0.5) / self.width)
    self.target = _Table(shape, nn.initializers.zeros)

  def __call__(
    self, words: Int[Array, '*b'], targets: Int[Array, '*b2'], train: bool = False
  ) -> tuple[Float[Array, '*b d'], Float[Array, '*b2 d']]:
    """The vectors of words, and those that words, or nodes of a tree, are predicted by."""
    del train
    return self.source(words), self.target(targets)

  def vectors(self, words: Int[Array, '*b']) -> Float[Array, '*b d']:
    """The vectors of words, which all that uses them reads."""
    return self.source(words)


class _Table(nn.Module):
  shape: tuple[int, int]
  start: nn.initializers.Initializer

  @nn.compact
  def __call__(self, rows: Int[Array, '*b']) -> Float[Array, '*b d']:
    embedding = self.param('embedding', self.start, self.shape, jnp.float32)
    return jnp.take(embedding, rows, axis=0, mode='clip')


def make(vocab_size: int, width: int = 100) -> nn.Module:
  """Builds the model.

  Args:
    vocab_size: Number of words; a fact of the data.
    width: Of the vectors.

  Raises:
    UserError: one of them is not positive.
  """
  if vocab_size < 1 or width < 1:
    raise UserError(f'word2vec(vocab_size={vocab_size}, width={width}): expected numbers >= 1')
  return Word2Vec(vocab_size, width)
