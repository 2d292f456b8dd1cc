"""Weights of other people's Vision Transformers.

  'timm'         VisionTransformer and VisionTransformerDistilled: ViT, DeiT, DeiT III, ...
  'huggingface'  ViT and DeiT, in the names of files and in those that transformers 5 has in memory;
                 DINOv2 with and without registers
  'dinov2'       facebookresearch/dinov2's own names
  'augreg'       .npz files of google-research/vision_transformer

The tables here say what a tensor is; what the model computes (GELU, epsilon, pooling, heads) stands
in config.json or in no file at all, and is inferred in `_vit_specs.py`:

| weights                 | make(...)                                                          |
| timm, DeiT              | mlp='gelu'                                                         |
| DeiT III                | mlp='gelu', layer_scale=1e-6, position_embedding='learned_patches' |
| timm, global_pool='avg' | mlp='gelu', pool='gap_norm' (class_token=True if there is one)     |
| Hugging Face ViT        | mlp='gelu', norm_epsilon=1e-12                                     |
| AugReg .npz             | mlp='gelu_tanh'                                                    |
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vitlab.ops.positions import Grid
from vitlab.pretrained.assemble import HEAD, Format, PartOf, Shapes, Sides, lookup
from vitlab.pretrained.families import _dinov2, _vit_keys, _vit_rewrite, _vit_specs
from vitlab.pretrained.families._vit_parts import make_part
from vitlab.pretrained.layouts import Layout, reshaped, same
from vitlab.pretrained.preprocessing import INCEPTION, Preprocessing, image_size_of

# Our module or parameter -> their name; {} is the number of the block.
TIMM = {
  'patch_embed': 'patch_embed.proj',
  'cls_token': 'cls_token',
  'dist_token': 'dist_token',
  'registers': 'reg_token',
  'position_embedding/prefix': 'pos_embed',
  'position_embedding/grid': 'pos_embed',
  'encoder/block_{}/norm1': 'blocks.{}.norm1',
  'encoder/block_{}/norm2': 'blocks.{}.norm2',
  'encoder/block_{}/attention/qkv': 'blocks.{}.attn.qkv',
  'encoder/block_{}/attention/q_norm': 'blocks.{}.attn.q_norm',
  'encoder/block_{}/attention/k_norm': 'blocks.{}.attn.k_norm',
  'encoder/block_{}/attention/out': 'blocks.{}.attn.proj',
  'encoder/block_{}/scale1': 'blocks.{}.ls1',
  'encoder/block_{}/scale2': 'blocks.{}.ls2',
  'encoder/block_{}/mlp/gate': 'blocks.{}.mlp.fc1_g',
  'encoder/block_{}/mlp/up': 'blocks.{}.mlp.fc1',
  'encoder/block_{}/mlp/down': 'blocks.{}.mlp.fc2',
  'norm': 'norm',
  'pool/probe': 'attn_pool.latent',
  'pool/attention/q': 'attn_pool.q',
  'pool/attention/kv': 'attn_pool.kv',
  'pool/attention/out': 'attn_pool.proj',
  'pool/norm': 'attn_pool.norm',
  'pool/mlp/gate': 'attn_pool.mlp.fc1_g',
  'pool/mlp/up': 'attn_pool.mlp.fc1',
  'pool/mlp/down': 'attn_pool.mlp.fc2',
  'head': 'head',
  'head_dist': 'head_dist',
}

# As on disk; several names are queries, keys and values apart.
HUGGINGFACE = {
  'patch_embed': 'embeddings.patch_embeddings.projection',
  'cls_token': 'embeddings.cls_token',
  'position_embedding/prefix': 'embeddings.position_embeddings',
  'position_embedding/grid': 'embeddings.position_embeddings',
  'encoder/block_{}/norm1': 'encoder.layer.{}.layernorm_before',
  'encoder/block_{}/norm2': 'encoder.layer.{}.layernorm_after',
  'encoder/block_{}/attention/qkv': (
    'encoder.layer.{}.attention.attention.query',
    'encoder.layer.{}.attention.attention.key',
    'encoder.layer.{}.attention.attention.value',
  ),
  'encoder/block_{}/attention/out': 'encoder.layer.{}.attention.output.dense',
  'encoder/block_{}/mlp/up': 'encoder.layer.{}.intermediate.dense',
  'encoder/block_{}/mlp/down': 'encoder.layer.{}.output.dense',
  'norm': 'layernorm',
  'head': 'classifier',
}
DEIT = HUGGINGFACE | {
  'dist_token': 'embeddings.distillation_token',
  'head': 'cls_classifier',
  'head_dist': 'distillation_classifier',
}
DEIT_ALONE = HUGGINGFACE | {'registers': 'embeddings.distillation_token'}

# transformers 5 renames modules in memory, though not in its files.
HUGGINGFACE_5 = {
  r'encoder\.layer\.': 'layers.',
  r'attention\.attention\.(\w)\w+\.': r'attention.\1_proj.',
  r'attention\.output\.dense': 'attention.o_proj',
  r'intermediate\.dense': 'mlp.fc1',
  r'(\d)\.output\.dense': r'\1.mlp.fc2',
}


AUGREG = {
  'patch_embed': 'embedding',
  'cls_token': 'cls',
  'position_embedding/prefix': 'Transformer/posembed_input/pos_embedding',
  'position_embedding/grid': 'Transformer/posembed_input/pos_embedding',
  'encoder/block_{}/norm1': 'Transformer/encoderblock_{}/LayerNorm_0',
  'encoder/block_{}/norm2': 'Transformer/encoderblock_{}/LayerNorm_2',
  'encoder/block_{}/attention/qkv': (
    'Transformer/encoderblock_{}/MultiHeadDotProductAttention_1/query',
    'Transformer/encoderblock_{}/MultiHeadDotProductAttention_1/key',
    'Transformer/encoderblock_{}/MultiHeadDotProductAttention_1/value',
  ),
  'encoder/block_{}/attention/out': (
    'Transformer/encoderblock_{}/MultiHeadDotProductAttention_1/out'
  ),
  'encoder/block_{}/mlp/up': 'Transformer/encoderblock_{}/MlpBlock_3/Dense_0',
  'encoder/block_{}/mlp/down': 'Transformer/encoderblock_{}/MlpBlock_3/Dense_1',
  'norm': 'Transformer/encoder_norm',
  'head': 'head',
}
# Queries, keys and values [d, n, k] one below the other <-> ours, [d, 3, n, k].
STACKED_QKV = Layout(
  theirs=lambda shape: (3 * shape[0], *shape[2:]),
  to_ours=lambda array, shape: array.reshape(3, shape[0], *shape[2:]).swapaxes(0, 1),
  to_theirs=lambda array: array.swapaxes(0, 1).reshape(-1, *array.shape[2:]),
)
STACKED_BIAS = reshaped(lambda shape: (shape[0] * shape[1], *shape[2:]))  # [3, n, k] <-> [3·n, k]


def _timm(sides: Sides) -> PartOf:
  table = dict(TIMM)
  if 'fc_norm.weight' in sides.theirs or sides.spec.get('pool', '').endswith('_norm'):
    table['norm'] = 'fc_norm'
  packed = any('/mlp/gate/' in path for path in sides.ours)
  if packed and 'blocks.0.mlp.fc1_g.weight' in sides.theirs:
    packed = False
    table = {k: v.replace('.fc1', '.fc1_x') if k.endswith('/up') else v for k, v in table.items()}
  elif packed:
    table = {k: v.replace('.fc1_g', '.fc1') for k, v in table.items()}
  return lambda path, shape: make_part(lookup(table, path), path, shape, sides, packed)


def _huggingface(sides: Sides) -> PartOf:
  """Hugging Face's ViT, DeiT and DINOv2; of all the bare model, whose names lack a prefix."""
  if _dinov2.is_it(sides.theirs, sides.spec):
    return _dinov2.huggingface(sides)
  theirs, ours = list(sides.theirs), sides.ours
  table, prefix = HUGGINGFACE, 'vit.'
  if 'params/dist_token' in ours:
    table, prefix = DEIT, 'deit.'
  elif any(name.endswith('embeddings.distillation_token') for name in theirs):
    table, prefix = DEIT_ALONE, 'deit.'
  if theirs and not any(name.startswith(prefix) for name in theirs):
    prefix = ''
  version_5 = any(name.startswith(f'{prefix}layers.') for name in theirs)

  def rename(name: str) -> str:
    if re.match(HEAD, name):
      return name
    for old, new in HUGGINGFACE_5.items() if version_5 else ():
      name = re.sub(old, new, name)
    return prefix + name

  def part_of(path, shape):
    return make_part(tuple(map(rename, lookup(table, path))), path, shape, sides)

  return part_of


def _augreg(sides: Sides) -> PartOf:
  def part_of(path, shape):
    part = make_part(lookup(AUGREG, path, leaves='/{}'.format), path, shape, sides)
    if part is None or part.share or 'cls_token' in path:
      return part
    layout = same
    if '/qkv/' in path:
      layout = STACKED_QKV if path.endswith('kernel') else STACKED_BIAS
    return part._replace(layout=layout)

  return part_of


def _spec_of_huggingface(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
  of_dinov2 = str(config.get('model_type')).startswith('dinov2')
  return (_dinov2 if of_dinov2 else _vit_specs).from_huggingface(config, shapes)


def _config_of_huggingface(spec: Mapping[str, Any], image_size: Grid) -> dict[str, Any]:
  of_dinov2 = _dinov2.is_it({}, spec)
  return (_dinov2 if of_dinov2 else _vit_specs).to_huggingface(spec, image_size)


def _torch_pictures(config: Mapping[str, Any], shapes: Shapes) -> Preprocessing:
  """DeiT's are normalised as those of torchvision's ImageNet models, others to [-1, 1]."""
  size = image_size_of(config)
  if size is None and 'pos_embed' in shapes:
    size = _square(shapes['pos_embed'][1], shapes['patch_embed.proj.weight'][2:])
  size = size or (224, 224)
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
  ends = 'posembed_input/pos_embedding', 'embedding/kernel'
  positions, kernel = (next(s for n, s in shapes.items() if n.endswith(end)) for end in ends)
  size = _square(positions[1], kernel[:2])
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
    resampled=('layer_scale',),
    prepare=_dinov2.fold,
  ),
  'timm': Format(
    _timm,
    _vit_specs.from_timm,
    _vit_specs.to_timm,
    architectures=r'(vit|deit3?)_|flexivit_|test_vit|eva_large_patch14_(196|336)$',
    sign=r'blocks\.0\.attn\.qkv\.weight$',
    keys=_vit_keys.TIMM,
    preprocessing=_torch_pictures,
    resampled=('layer_scale',),
    rewrite=_vit_rewrite.for_timm,
  ),
  'huggingface': Format(
    _huggingface,
    _spec_of_huggingface,
    _config_of_huggingface,
    ignored=r'(vit\.|deit\.)?pooler\.|(\w+\.)?embeddings\.mask_token$',
    architectures=r'(vit|deit|dinov2(_with_registers)?)$',
    sign=r'(vit|deit|dinov2(_with_registers)?)\.(embeddings|encoder|layers)\.',
    keys=_vit_keys.HUGGINGFACE | _vit_keys.DINOV2,
    preprocessing=_torch_pictures,
    resampled=('layer_scale',),
    prepare=_dinov2.fold,
    rewrite=_vit_rewrite.for_huggingface,
  ),
  'augreg': Format(
    _augreg,
    _vit_specs.from_augreg,
    head=r'(head|pre_logits)/',
    sign=r'Transformer/encoderblock_0/',
    preprocessing=_augreg_pictures,
    resampled=('layer_scale',),
  ),
}
