"""What a published Vision Transformer computes, from its config.json and its shapes; and back."""

import math
import re
from collections.abc import Mapping
from typing import Any

from vitlab.errors import UserError
from vitlab.ops.positions import Grid
from vitlab.pretrained import keys, specs
from vitlab.pretrained.assemble import Shapes
from vitlab.pretrained.families import _vit_names as names
from vitlab.pretrained.families import _vit_sizes
from vitlab.pretrained.families._vit_sizes import by_shapes
from vitlab.pretrained.preprocessing import image_size_of
from vitlab.pretrained.tables import Seen, by_table

TIMM_KEYS = keys.timm(
  'embed_dim depth num_heads mlp_ratio qkv_bias qk_norm init_values class_token pos_embed'
  ' no_embed_class reg_tokens fc_norm act_layer',
  only=dict(
    norm_layer=('layernorm', 'rmsnorm'),
    attn_layer=('attn', ''),
    scale_attn_norm=(False,),
    scale_mlp_norm=(False,),
    proj_bias=(True,),
    pre_norm=(False,),
    final_norm=(True,),
    pool_include_prefix=(False,),
    dynamic_img_pad=(False,),
    use_naflex=(False,),
  ),
  training='patch_drop_rate fix_init dynamic_img_size',
)
HUGGINGFACE_KEYS = keys.huggingface(
  'vit',
  'dinov2_with_registers',
  training=f'{keys.TRAINING} use_mask_token',
  why=keys.BACKBONE
  | {
    'says what else a backbone gives': 'apply_layernorm reshape_hidden_states',
    'is of the pooler; features are the class token': 'pooler_act pooler_output_size',
  },
)

# timm's architectures differ in what no shape shows. Heads by width, where names do not say others.
HEADS = {64: 2, 96: 3, 192: 3, 256: 4, 320: 5, 384: 6, 512: 8, 640: 10, 768: 12, 832: 13, 896: 14}
HEADS |= dict.fromkeys((1024, 1152, 1280, 1408, 1664), 16) | {1536: 24}
OTHER_HEADS = {r'vit_base_patch16_gap_224': 16, r'vit_giantopt_': 16}
TANH = (
  r'vit_(base_patch32_siglip_(gap_)?256|large_patch16_siglip_(gap_)?512'
  r'|so400m_patch16_siglip|giantopt_)'
)
# Their names are those of a ViT, what they compute is not.
STRANGE = r'.*(quickgelu|_rpn_|_clip_|test_vit3)'
TIMM_POOLS = {'token': 'cls', 'map': 'map', 'avg': 'gap', 'max': 'max', 'avgmax': 'avgmax'}
TIMM_ACTIVATIONS = {name: name for name in ('gelu', 'gelu_tanh', 'relu', 'swish')}
TIMM_ACTIVATIONS['silu'] = 'swish'
ONLY = dict(  # of Hugging Face's ViT
  pool='cls', num_registers=0, position_embedding='learned', norm='layernorm', qk_norm=False
)


def from_timm(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
  """The model of timm's VisionTransformer and VisionTransformerDistilled."""
  name, args = config.get('architecture', ''), config.get('model_args') or {}
  if re.match(STRANGE, name):
    raise UserError(f'{name or "this timm model"} is no ViT that vitlab computes: choose another')
  seen = Seen(by_table(names.TIMM), shapes)
  width = seen['patch_embed/kernel'][0]
  if normed := seen.get('encoder/block_0/attention/q_norm/scale'):
    heads = width // normed[0]
  else:
    other = [n for pattern, n in OTHER_HEADS.items() if re.match(pattern, name)]
    heads = args.get('num_heads') or (other[0] if other else _heads(width))
  words = by_shapes(seen, specs.check_heads('num_heads', heads, width))
  if words.get('distillation_token') and words['num_registers']:
    raise UserError('timm leaves out reg_tokens where there is a distillation token')
  act = args.get('act_layer')
  if 'mlp' in words and act not in (None, 'silu', 'swish'):
    raise UserError(f'a gated mlp with {act!r} is none that vitlab computes: silu is')
  if 'mlp' not in words:
    act = act or ('gelu_tanh' if re.match(TANH, name) else 'gelu')
    words['mlp'] = specs.named(act, TIMM_ACTIVATIONS, 'act_layer of timm')
  if 'encoder/block_0/scale1/gamma' in seen:
    words['layer_scale'] = args.get('init_values') or 1e-5
  positions = _positions(config, shapes)
  return words | dict(
    pool=_timm_pool(config, shapes), position_embedding=positions, norm_epsilon=1e-6
  )


def from_huggingface(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
  """The model of Hugging Face's ViT and DeiT, for classification or bare.

  Raises:
    UserError: an activation that vitlab's ViT does not have; no config.json.
  """
  said = specs.meant(config, _vit_sizes.SIZES)
  seen = Seen(names.huggingface, shapes)
  specs.check_patch(config['patch_size'], seen['patch_embed/kernel'][2:])
  return by_shapes(seen, **said, mlp_dim=config['intermediate_size']) | dict(
    pool='cls',
    position_embedding='learned',
    mlp=specs.named(config['hidden_act'], specs.HF_ACTIVATIONS, 'hidden_act of Hugging Face'),
    **{ours: config[theirs] for ours, theirs in _vit_sizes.OTHERS.items()},
  )


def from_augreg(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
  """The model of google-research/vision_transformer: tanh GELU, epsilon 1e-6."""
  del config
  seen = Seen(names.augreg, shapes)
  width, heads, _ = seen['encoder/block_0/attention/qkv/kernel']
  depth = seen.count('encoder/block_{}/norm1/scale')
  mlp_dim = seen['encoder/block_0/mlp/up/kernel'][1]
  return dict(
    name='vit',
    num_classes=seen.get('head/kernel', (0, None))[1],
    **_vit_sizes.sizes(width, depth, heads, mlp_dim, seen['patch_embed/kernel'][:2]),
    pool='cls' if 'cls_token' in seen else 'gap',
    class_token='cls_token' in seen,
    mlp='gelu_tanh',
    norm_epsilon=1e-6,
  )


def to_timm(spec: Mapping[str, Any], image_size: Grid) -> dict[str, Any]:
  """timm's config.json: the nearest architecture and every argument in which ours may differ."""
  words = specs.all_words(spec)
  size, patch = _vit_sizes.resolve(words)
  gated, distils = words['mlp'] == 'swiglu', words['distillation_token']
  specs.refuse(
    'timm',
    positions=words['position_embedding'] in ('sincos_2d', 'rope_2d'),
    pool=words['pool'] == 'cls_gap',
    mlp=words['mlp'] not in TIMM_ACTIVATIONS and (not gated or words['pool'] == 'map' or distils),
    norm_epsilon=words['norm_epsilon'] != 1e-6,
    num_registers=distils and words['num_registers'],
    backbone=words['backbone'],
  )
  kinds = {192: 'tiny', 384: 'small', 1024: 'large'}
  family, distilled = ('deit', '_distilled') if distils else ('vit', '')
  kind = 'base' if distils and size.width == 1024 else kinds.get(size.width, 'base')
  args = dict(
    img_size=list(image_size),
    patch_size=specs.short(patch),
    embed_dim=size.width,
    depth=size.depth,
    num_heads=size.num_heads,
    mlp_ratio=_vit_sizes.ratio(size.mlp_dim * (2 if gated else 1), size.width),
    **_timm_arguments(words),
  )
  # The one that has such an mlp.
  like = 'vit_giant_patch14_dinov2' if gated else f'{family}_{kind}{distilled}_patch16_224'
  return dict(
    architecture=like,
    num_classes=words['num_classes'] or 0,
    num_features=size.width,
    global_pool=args.get('global_pool', 'token'),
    model_args={key: value for key, value in args.items() if value is not None},
  )


def _timm_arguments(words: Mapping[str, Any]) -> dict[str, Any]:
  """timm's arguments but for the sizes; None for those that are not given."""
  args = dict(
    qkv_bias=words['qkv_bias'],
    qk_norm=words['qk_norm'],
    init_values=words['layer_scale'] or None,
    act_layer=words['mlp'] if words['mlp'] != 'swiglu' else None,
    norm_layer=words['norm'],
    no_embed_class=words['position_embedding'] == 'learned_patches',
    pos_embed='none' if words['position_embedding'] == 'none' else 'learn',
    reg_tokens=words['num_registers'],
  )
  if words['distillation_token']:
    return args
  pool, token = words['pool'], words['class_token']
  return args | dict(
    global_pool=specs.inverse(TIMM_POOLS)[pool.removesuffix('_norm')],
    class_token=pool == 'cls' if token is None else token,
    fc_norm=pool.endswith('_norm'),
  )


def to_huggingface(spec: Mapping[str, Any], image_size: Grid) -> dict[str, Any]:
  """The config.json of ViTForImageClassification or DeiTForImageClassificationWithTeacher."""
  words = specs.all_words(spec)
  specs.refuse(
    'Hugging Face',
    **specs.differing(words, ONLY),
    mlp=words['mlp'] not in specs.HF_ACTIVATIONS.values(),
    layer_scale=words['layer_scale'],
    backbone=words['backbone'],
  )
  kind, suffix = 'ViT', 'ForImageClassification' if words['num_classes'] else 'Model'
  if words['distillation_token']:
    kind, suffix = 'DeiT', suffix.replace('Classification', 'ClassificationWithTeacher')
  return dict(
    architectures=[kind + suffix],
    model_type=kind.lower(),
    intermediate_size=_vit_sizes.resolve(words)[0].mlp_dim,
    **_vit_sizes.for_huggingface(words, image_size),
  )


def _timm_pool(config: Mapping[str, Any], shapes: Shapes) -> str:
  """The pool, and whether the norm comes after it: it is then called fc_norm."""
  args, normed = config.get('model_args') or {}, 'fc_norm.weight' in shapes
  default = 'token' if 'cls_token' in shapes and not normed else 'avg'
  default = config.get('global_pool', 'map' if 'attn_pool.latent' in shapes else default)
  pool = specs.named(args.get('global_pool', default), TIMM_POOLS, 'global_pool of timm')
  if normed and (pool == 'map' or 'dist_token' in shapes):
    raise UserError('fc_norm=True with an attention pool or a distillation token is not computed')
  return f'{pool}_norm' if normed and pool != 'cls' else pool


def _positions(config: Mapping[str, Any], shapes: Shapes) -> str:
  """Whether the tokens before the patches have positions as well."""
  if 'pos_embed' not in shapes:
    return 'none'
  length, size = shapes['pos_embed'][1], image_size_of(config)
  if size is not None:
    y, x = shapes['patch_embed.proj.weight'][2:]
    return 'learned_patches' if length == (size[0] // y) * (size[1] // x) else 'learned'
  is_square = math.isqrt(length) ** 2 == length
  prefixed = any(f'{token}_token' in shapes for token in ('cls', 'dist', 'reg'))
  return 'learned_patches' if is_square and prefixed else 'learned'


def _heads(width: int) -> int:
  if width not in HEADS:
    raise UserError(
      f'no shape says how many heads a ViT of width {width} has'
      "\nwrite it into its config.json: {'model_args': {'num_heads': ...}}"
    )
  return HEADS[width]
