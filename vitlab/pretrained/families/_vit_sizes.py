"""The size of a ViT: from numbers to our words, from our words to numbers."""

import math
from collections.abc import Mapping
from typing import Any

from vitlab import registry
from vitlab.models.vit import VARIANTS, Size


def sizes(
  width: int,
  depth: int,
  num_heads: int,
  mlp_dim: int,
  patch: tuple[int, int],
  gated: bool = False,
) -> dict[str, Any]:
  """The words of a size: a variant, and what it does not say; of a gated mlp all of them."""
  wanted, (y, x) = Size(width, depth, num_heads, mlp_dim), patch
  same = [name for name, size in VARIANTS.items() if size == wanted and not gated]
  variant = same[0] if same else None
  if variant and y == x:
    return dict(variant=f'{variant}/{y}')
  own = {} if variant else wanted._asdict()
  return dict(variant=variant or 'mu', patch_size=y if y == x else (y, x), **own)


def ratio(hidden: int, width: int) -> float:
  """What others multiply a width by and round down to get this one."""
  near = hidden / width
  return near if int(width * near) == hidden else math.nextafter(near, math.inf)


def resolve(words: Mapping[str, Any]) -> tuple[Size, tuple[int, int]]:
  """The size and the patch (height, width) of a spec; the model itself knows them best."""
  model = registry.make('models', words)
  size = Size(
    model.patch_embed.width,
    model.encoder.depth,
    model.encoder.block.attention.num_heads,
    model.encoder.block.mlp.hidden,
  )
  return size, tuple(model.patch_embed.patch_size)
