"""Weights of other people's TNTs, under timm's names or those of the authors.

timm's `legacy` models are others under the same name: they convolve before they cut, and norm every
pixel by itself. They are refused.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from vitlab.errors import UserError
from vitlab.models.tnt import VARIANTS, Size
from vitlab.ops.positions import Grid
from vitlab.pretrained import keys, specs
from vitlab.pretrained.assemble import Format, PartOf, Shapes, Sides
from vitlab.pretrained.layouts import Layout, reshaped
from vitlab.pretrained.preprocessing import INCEPTION, Preprocessing
from vitlab.pretrained.tables import Seen, below, by_table, of_tokens

KIND = 'classification'  # see `vitlab.pretrained.kind`
# Our module or parameter -> timm's name; {} is the number of the block.
TIMM = {
  'pixel_embed': 'pixel_embed.proj',
  'pixel_position/grid': 'pixel_pos',
  'cls_token': 'cls_token',
  'position_embedding/prefix': 'patch_pos',
  'position_embedding/grid': 'patch_pos',
  'projection/norm1': 'norm1_proj',
  'projection/dense': 'proj',
  'projection/norm2': 'norm2_proj',
  'norm': 'norm',
  'head': 'head',
}
TIMM |= below(
  'encoder/block_{}/',
  'blocks.{}.',
  {
    'inner/norm1': 'norm_in',
    'inner/attention/qkv': ('attn_in.qk', 'attn_in.v'),
    'inner/attention/out': 'attn_in.proj',
    'inner/norm2': 'norm_mlp_in',
    'inner/mlp/up': 'mlp_in.fc1',
    'inner/mlp/down': 'mlp_in.fc2',
    'projection/norm1': 'norm1_proj',
    'projection/dense': 'proj',
    'projection/norm2': 'norm2_proj',
    'outer/norm1': 'norm_out',
    'outer/attention/qkv': ('attn_out.qk', 'attn_out.v'),
    'outer/attention/out': 'attn_out.proj',
    'outer/norm2': 'norm_mlp',
    'outer/mlp/up': 'mlp.fc1',
    'outer/mlp/down': 'mlp.fc2',
  },
)

# timm's words -> the authors'.
AUTHORS = {
  'patch_pos': 'outer_pos',
  'pixel_pos': 'inner_pos',
  'pixel_embed': 'patch_embed',
  'norm1_proj': 'proj_norm1',
  'norm2_proj': 'proj_norm2',
  'norm_in': 'inner_norm1',
  'attn_in': 'inner_attn',
  'norm_mlp_in': 'inner_norm2',
  'mlp_in': 'inner_mlp',
  'norm_out': 'outer_norm1',
  'attn_out': 'outer_attn',
  'norm_mlp': 'outer_norm2',
  'mlp': 'outer_mlp',
}
# Our word -> timm's argument.
ARGUMENTS = dict(
  width='embed_dim',
  depth='depth',
  num_heads='num_heads_outer',
  inner_width='inner_dim',
  inner_num_heads='num_heads_inner',
  inner_stride='first_stride',
  qkv_bias='qkv_bias',
)
KEYS = keys.timm(f'mlp_ratio {" ".join(ARGUMENTS.values())}', only=dict(legacy=(False,)))
ONLY = dict(mlp='gelu', norm='layernorm', norm_epsilon=1e-5)  # of theirs
POOLS = {'token': 'cls', 'avg': 'gap'}

_pixel_map = Layout(  # [y, x, c] <-> [1, c, y, x]
  theirs=lambda shape: (1, shape[2], *shape[:2]),
  to_ours=lambda array, shape: array[0].transpose(1, 2, 0),
  to_theirs=lambda array: array.transpose(2, 0, 1)[None],
)
_pixel_list = reshaped(lambda shape: (1, shape[0] * shape[1], shape[2]))  # the authors'


def _part_of(sides: Sides) -> PartOf:
  authors = 'inner_pos' in sides.theirs
  patch = _pair(specs.all_words(sides.spec)['patch_size']) if sides.spec else None
  pixels = {'pixel_position/grid': _pixel_list if authors else _pixel_map}
  return by_table(
    TIMM,
    rename=partial(_translated, words=AUTHORS if authors else {}),
    odd=of_tokens(sides, patch) | pixels,
    sizes=(2, 1),  # queries and keys in one tensor, values in another
  )(sides)


def _translated(name: str, words: Mapping[str, str]) -> str:
  return '.'.join(words.get(word, word) for word in name.split('.'))


def _spec(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
  """The model of timm's TNT or of the authors', from config.json, if there is one, and shapes."""
  args = config.get('model_args') or {}
  seen, block = Seen(_part_of, shapes), 'encoder/block_0'
  if args.get('legacy') or f'{block}/projection/norm2/scale' not in seen:
    raise UserError(
      'these are weights of a legacy TNT, which convolves the whole image: vitlab has the original'
      '\ntake tnt_s_patch16_224 or tnt_b_patch16_224'
    )
  stride = args.get('first_stride', 4)
  pixels = seen['pixel_position/grid'][2:]
  if 'inner_pos' in shapes:
    pixels = (math.isqrt(shapes['inner_pos'][1]),) * 2
  patch = _pair(args.get('patch_size') or (pixels[0] * stride, pixels[1] * stride))
  pool = args.get('global_pool', config.get('global_pool', 'token'))
  return dict(
    name='tnt',
    **_sizes(
      seen['cls_token'][-1],
      specs.count(shapes, 'blocks'),
      seen[f'{block}/outer/mlp/up/kernel'][0],
      seen[f'{block}/inner/mlp/down/kernel'][0],
      args,
    ),
    num_classes=seen.get('head/kernel', (None,))[0],
    patch_size=patch[0] if patch[0] == patch[1] else patch,
    inner_stride=stride,
    pool=specs.named(pool, POOLS, 'global_pool of timm'),
    **ONLY,
    qkv_bias=f'{block}/inner/attention/qkv/bias' in seen,
  )


def _sizes(width, depth, mlp_dim, inner_width, args: Mapping[str, Any]) -> dict[str, Any]:
  """The words of a size: a variant, and what it does not say. No shape says the heads."""
  like = {(size.width, size.inner_width): size for size in VARIANTS.values()}
  usual = like.get((width, inner_width))
  heads = args.get('num_heads_outer', usual and usual.num_heads)
  inner_heads = args.get('num_heads_inner', usual.inner_num_heads if usual else 4)
  if heads is None:
    raise UserError(
      f'no shape says how many heads a TNT of widths {width} and {inner_width} has'
      "\nwrite it into its config.json: {'model_args': {'num_heads_outer': ...}}"
    )
  specs.check_heads('num_heads_outer', heads, width)
  specs.check_heads('num_heads_inner', inner_heads, inner_width)
  size = Size(width, depth, heads, mlp_dim, inner_width, inner_heads)
  return specs.size_words(size._asdict(), VARIANTS, 'mu')


def _config(spec: Mapping[str, Any], image_size: Grid) -> dict[str, Any]:
  """timm's config.json: its S or B, and every argument in which ours may differ."""
  words = specs.all_words(spec, VARIANTS)
  specs.refuse('timm', **specs.differing(words, ONLY))
  pool = specs.inverse(POOLS)[words['pool']]
  args = specs.said(words, ARGUMENTS) | dict(
    img_size=list(image_size),
    patch_size=specs.short(_pair(words['patch_size'])),
    mlp_ratio=words['mlp_dim'] / words['width'],
    global_pool=pool,
  )
  return dict(
    architecture=f'tnt_{"b" if words["width"] == VARIANTS["B"].width else "s"}_patch16_224',
    num_classes=words['num_classes'] or 0,
    num_features=words['width'],
    global_pool=pool,
    model_args=args,
  )


def _pair(size) -> Grid:
  return (size, size) if isinstance(size, int) else tuple(size)


FORMATS = {
  'timm': Format(
    _part_of,
    _spec,
    _config,
    ignored=r'outer_tokens$',  # the authors': constant zeros
    keys=KEYS,
    sign=r'blocks\.0\.(attn_in|inner_attn)\.',
    preprocessing=Preprocessing(crop_fraction=0.9, **INCEPTION),
  ),
}
