"""Augmentation of pictures together with the boxes in them, on the device, in the training step."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Array, Float, Int, Shaped

from vitlab.errors import unknown

Key = Shaped[Array, '']


class Sample(NamedTuple):
  """Pictures and what there is to be found in them.

  Attributes:
    image: In [0, 1].
    size: Height and width of the part, in the upper left corner, that is no padding.
    boxes: Left, top, right and bottom of each object in pixels; zero where there is no object.
    classes: -1 where there is no object.
  """

  image: Float[Array, '*b h w c']
  size: Int[Array, '*b 2']
  boxes: Float[Array, '*b o 4']
  classes: Int[Array, '*b o']


def compile(pipeline: str) -> Callable[[Key, Sample], Sample]:
  """Reads a pipeline; the empty string changes nothing.

  Raises:
    UserError: there is no such operation.
  """
  if pipeline.strip():
    raise unknown('augmentation of boxes', pipeline, [])
  return lambda key, sample: sample
