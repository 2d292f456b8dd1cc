"""Finds the one object of a picture: a box and a class."""

from flax import linen as nn
from jaxtyping import Array, Float


class OneBox(nn.Module):
  num_classes: int
  width: int

  @nn.compact
  def __call__(
    self, image: Float[Array, 'b h w c'], train: bool = False
  ) -> tuple[Float[Array, 'b classes'], Float[Array, 'b 4']]:
    x = image.reshape(image.shape[0], -1)
    x = nn.relu(nn.Dense(self.width, name='hidden')(x))
    return nn.Dense(self.num_classes, name='head')(x), nn.sigmoid(nn.Dense(4, name='box')(x))


def make(num_classes: int, width: int = 32) -> nn.Module:
  return OneBox(num_classes, width)
