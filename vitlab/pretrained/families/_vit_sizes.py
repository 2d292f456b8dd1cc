"""The words of a ViT that are written as numbers, and those that most others are in."""

import math
from collections.abc import Mapping
from typing import Any

from vitlab import registry
from vitlab.models.vit import VARIANTS, Size
from vitlab.ops.positions import Grid
from vitlab.pretrained import specs
from vitlab.pretrained.tables import Seen

# Our word -> the key of Hugging Face's ViT, DeiT and DINOv2.
SIZES = dict(width='hidden_size', depth='num_hidden_layers', num_heads='num_attention_heads')
OTHERS = dict(norm_epsilon='layer_norm_eps', qkv_bias='qkv_bias')


def by_shapes(seen: Seen, num_heads: int, **said: int) -> dict[str, Any]:
  """The words of a ViT that torch's tensors say, whosever they are.

  Args:
    seen: Their shapes.
    num_heads: Which no shape says.
    **said: Sizes by another source: width, depth, mlp_dim.
  """
  block = 'encoder/block_0/'
  patch = seen['patch_embed/kernel'][2:]
  width, hidden = seen[f'{block}mlp/down/kernel']
  # SwiGLU as two tensors, or as both in one (timm's SwiGLUPacked).
  gated = seen.get(f'{block}mlp/up/kernel', (0,))[0] != hidden
  numbers = dict(width=width, depth=seen.count('encoder/block_{}/norm1/scale'), mlp_dim=hidden)
  words = dict(
    name='vit',
    num_classes=seen.get('head/kernel', (None,))[0],
    **sizes(num_heads=num_heads, patch=patch, gated=gated, **numbers | said),
    class_token='cls_token' in seen,
    num_registers=seen.get('registers', (1, 0))[1],
    norm='layernorm' if f'{block}norm1/bias' in seen else 'rmsnorm',
    qk_norm=f'{block}attention/q_norm/scale' in seen,
    qkv_bias=f'{block}attention/qkv/bias' in seen,
  )
  if gated:
    words['mlp'] = 'swiglu'
  return words | (dict(distillation_token=True) if 'dist_token' in seen else {})


def sizes(
  width: int,
  depth: int,
  num_heads: int,
  mlp_dim: int,
  patch: tuple[int, int],
  gated: bool = False,
) -> dict[str, Any]:
  """The words of a size: a variant, and what it does not say; of a gated mlp all of them."""
  size, (y, x) = dict(width=width, depth=depth, num_heads=num_heads, mlp_dim=mlp_dim), patch
  words = dict(variant='mu', **size) if gated else specs.size_words(size, VARIANTS, 'mu')
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
  activations = specs.inverse(specs.HF_ACTIVATIONS)
  return dict(
    **specs.said({**words, **size._asdict()}, SIZES | OTHERS),
    hidden_act=activations.get(words['mlp'], 'gelu'),  # a gated mlp has none
    image_size=specs.short(image_size),
    patch_size=specs.short(patch),
  )
