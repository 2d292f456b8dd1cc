"""Weights of other people's Vision Transformers.

  'timm'         VisionTransformer and VisionTransformerDistilled: ViT, DeiT, DeiT III, ...
  'huggingface'  ViT and DeiT, in the names of files and in those that transformers 5 has in memory;
                 DINOv2 with and without registers
  'dinov2'       facebookresearch/dinov2's own names
  'augreg'       .npz files of google-research/vision_transformer

What a tensor is stands in `_vit_names.py`; what the model computes (GELU, epsilon, pooling, heads)
stands in config.json or in no file at all, and is inferred in `_vit_specs.py`:

| weights                 | make(...)                                                          |
| timm, DeiT              | mlp='gelu'                                                         |
| DeiT III                | mlp='gelu', layer_scale=1e-6, position_embedding='learned_patches' |
| timm, global_pool='avg' | mlp='gelu', pool='gap_norm' (class_token=True if there is one)     |
| Hugging Face ViT        | mlp='gelu', norm_epsilon=1e-12                                     |
| AugReg .npz             | mlp='gelu_tanh'                                                    |
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vitlab.ops.positions import Grid
from vitlab.pretrained.assemble import Format, PartOf, Shapes, Sides
from vitlab.pretrained.families import _dinov2, _vit_rewrite, _vit_specs
from vitlab.pretrained.families import _vit_names as names
from vitlab.pretrained.preprocessing import INCEPTION, Preprocessing
from vitlab.pretrained.tables import Seen, by_table

KIND = 'classification'  # see `vitlab.pretrained.kind`


def _timm(sides: Sides) -> PartOf:
  table = dict(names.TIMM)
  if 'fc_norm.weight' in sides.theirs or sides.spec.get('pool', '').endswith('_norm'):
    table['norm'] = 'fc_norm'
  packed = names.is_gated(sides)
  if packed and 'blocks.0.mlp.fc1_g.weight' in sides.theirs:
    packed = False
    table = {k: v.replace('.fc1', '.fc1_x') if k.endswith('/up') else v for k, v in table.items()}
  elif packed:
    table = {k: v.replace('.fc1_g', '.fc1') for k, v in table.items()}
  return by_table(table, odd=names.odd(sides, packed))(sides)


def _huggingface(sides: Sides) -> PartOf:
  """Hugging Face's ViT, DeiT and DINOv2."""
  of_dinov2 = _dinov2.is_it(sides.theirs, sides.spec)
  return (_dinov2 if of_dinov2 else names).huggingface(sides)


def _spec_of_huggingface(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
  of_dinov2 = str(config.get('model_type')).startswith('dinov2')
  return (_dinov2 if of_dinov2 else _vit_specs).from_huggingface(config, shapes)


def _config_of_huggingface(spec: Mapping[str, Any], image_size: Grid) -> dict[str, Any]:
  of_dinov2 = _dinov2.is_it({}, spec)
  return (_dinov2 if of_dinov2 else _vit_specs).to_huggingface(spec, image_size)


def _torch_pictures(config: Mapping[str, Any], shapes: Shapes) -> Preprocessing:
  """DeiT's are normalised as those of torchvision's ImageNet models, others to [-1, 1].

  The size is that of the positions, which a config.json replaces by its own.
  """
  size = (224, 224)
  if 'pos_embed' in shapes:
    size = _square(shapes['pos_embed'][1], shapes['patch_embed.proj.weight'][2:])
  name = config.get('architecture') or config.get('model_type') or ''
  if 'dinov2' in name:
    return Preprocessing(size, 'crop', 0.875)
  if name.startswith('deit'):
    return Preprocessing(size, 'crop', 0.9 if 'architecture' in config else 0.875)
  if 'model_type' in config:
    return Preprocessing(size, 'squash', 1.0, 'bilinear', **INCEPTION)
  return Preprocessing(size, 'crop', 0.9, **INCEPTION)


def _augreg_pictures(config: Mapping[str, Any], shapes: Shapes) -> Preprocessing:
  """As vit_jax evaluates: no crop."""
  del config
  seen = Seen(names.augreg, shapes)
  size = _square(seen['position_embedding/grid'][1], seen['patch_embed/kernel'][:2])
  return Preprocessing(size, 'squash', 1.0, 'bilinear', **INCEPTION)


def _square(num_positions: int, patch: Sequence[int]) -> Grid:
  """Pixels of a square grid of patches; a class token too few to make it a larger one."""
  side = math.isqrt(num_positions)
  return side * patch[0], side * patch[1]


FORMATS = {
  'dinov2': Format(
    _dinov2.facebook,
    _dinov2.from_facebook,
    ignored=r'mask_token$',
    sign=r'(mask_token|register_tokens|blocks\.0\.mlp\.w12\.weight)$',
    preprocessing=_dinov2.pictures,
    prepare=_dinov2.fold,
  ),
  'timm': Format(
    _timm,
    _vit_specs.from_timm,
    _vit_specs.to_timm,
    architectures=r'(vit|deit3?)_|flexivit_|test_vit|eva_large_patch14_(196|336)$',
    sign=r'blocks\.0\.attn\.qkv\.weight$',
    keys=_vit_specs.TIMM_KEYS,
    preprocessing=_torch_pictures,
    rewrite=_vit_rewrite.for_timm,
  ),
  'huggingface': Format(
    _huggingface,
    _spec_of_huggingface,
    _config_of_huggingface,
    ignored=r'(vit\.|deit\.)?pooler\.|(\w+\.)?embeddings\.mask_token$',
    architectures=r'(vit|deit|dinov2(_with_registers)?)$',
    sign=r'(vit|deit|dinov2(_with_registers)?)\.(embeddings|encoder|layers)\.',
    keys=_vit_specs.HUGGINGFACE_KEYS,
    preprocessing=_torch_pictures,
    prepare=_dinov2.fold,
    rewrite=_vit_rewrite.for_huggingface,
  ),
  'augreg': Format(
    names.augreg,
    _vit_specs.from_augreg,
    head=r'(head|pre_logits)/',
    sign=r'Transformer/encoderblock_0/',
    preprocessing=_augreg_pictures,
  ),
}
