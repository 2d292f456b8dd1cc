"""A generator that turns noise into points, and a discriminator that scores points."""

from flax import linen as nn
from jaxtyping import Array, Float


class Points(nn.Module):
  width: int

  @nn.compact
  def __call__(self, noise: Float[Array, 'b k']) -> Float[Array, 'b 2']:
    x = nn.tanh(nn.Dense(self.width, name='hidden')(noise))
    return nn.Dense(2, name='head')(x)


class Score(nn.Module):
  width: int

  @nn.compact
  def __call__(self, points: Float[Array, 'b 2']) -> Float[Array, ' b']:
    x = nn.tanh(nn.Dense(self.width, name='hidden')(points))
    return nn.Dense(1, name='head')(x)[:, 0]


class TwoPlayers(nn.Module):
  width: int
  noise: int = 3

  def generator(self):
    return Points(self.width, parent=None)

  def discriminator(self):
    return Score(self.width, parent=None)


def make(width: int = 16) -> nn.Module:
  return TwoPlayers(width)
