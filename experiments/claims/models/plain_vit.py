"""A ViT that may do without its residual connections: what depth is then worth."""

from typing import Any

from vitlab.layers.blocks import Block
from vitlab.models import vit


class PlainBlock(Block):
  """f(norm(x)) where the block of the Transformer has x + f(norm(x)); parameters are the same."""

  def _add(self, i: int, x: Any, y: Any, train: bool, rate: Any) -> tuple[Any, Any]:
    """The branch alone."""
    del i, x, train, rate
    return y, y


def make(residual: bool = True, **words: Any) -> vit.ViT:
  """A ViT without class token, its blocks compiled once.

  Args:
    residual: Whether blocks add to what they read.
    **words: As `vitlab.models.vit.make`.
  """
  model = vit.make(pool='gap', scan=True, **words)
  if residual:
    return model
  block = model.encoder.block
  plain = PlainBlock(block.attention, block.mlp, block.norm)
  return model.clone(encoder=model.encoder.clone(block=plain))
