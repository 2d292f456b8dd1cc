"""The words of a ViT that are written as numbers, and those that most others are in."""

import math
from collections.abc import Mapping
from typing import Any

from vitlab import registry
from vitlab.models.vit import VARIANTS, Size
from vitlab.ops.positions import Grid
from vitlab.pretrained import specs

ONLY = dict(  # of Hugging Face's ViT
  pool='cls', num_registers=0, position_embedding='learned', norm='layernorm', qk_norm=False
)
USUAL = dict(name='vit', class_token=True, qkv_bias=True, **ONLY)


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
  words = specs.size_words(wanted, {} if gated else VARIANTS, 'mu')
  if len(words) == 1 and y == x:
    return dict(variant=f'{words["variant"]}/{y}')
  return words | dict(patch_size=y if y == x else (y, x))


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


def for_huggingface(words: Mapping[str, Any], image_size: Grid) -> dict[str, Any]:
  """What the config.json of Hugging Face's ViT, DeiT and DINOv2 calls alike."""
  size, patch = resolve(words)
  return dict(
    hidden_size=size.width,
    num_hidden_layers=size.depth,
    num_attention_heads=size.num_heads,
    hidden_act=specs.inverse(specs.HF_ACTIVATIONS).get(
      words['mlp'], 'gelu'
    ),  # a gated mlp has none
    layer_norm_eps=words['norm_epsilon'],
    image_size=specs.short(image_size),
    patch_size=specs.short(patch),
    qkv_bias=words['qkv_bias'],
  )
