"""Weights of other people's Swin Transformers, version 1 and 2.

The patch merging between stages 0 and 1 begins stage 1 in timm (`layers.1.downsample`), as in ours
and in the paper's figure; it ends stage 0 in the authors' files and Hugging Face's
(`layers.0.downsample`). The weights of version 2 do not say the side of the windows: their config
does.

All compute what we compute where windows divide the maps. Where they do not, Hugging Face's still
does (but for version 1 on maps smaller than a window, which it cannot), and timm's does not.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from vitlab.errors import UserError
from vitlab.ops.windows import resample_bias
from vitlab.pretrained.assemble import Format, PartOf, Shapes, Sides
from vitlab.pretrained.families import _swin_specs
from vitlab.pretrained.layouts import Layout, reshaped
from vitlab.pretrained.preprocessing import Preprocessing, image_size_of
from vitlab.pretrained.tables import below, by_table, column

KIND = 'classification'  # see `vitlab.pretrained.kind`
DOWN, TABLE = 'layers.{}.downsample', 'relative_position_bias_table'
MLP = 'continuous_position_bias_mlp'
# Our module or parameter -> timm's name and Hugging Face's; {} are the numbers of stage and block.
OUTER = {
  'patch_embed': ('patch_embed.proj', 'embeddings.patch_embeddings.projection'),
  'patch_norm': ('patch_embed.norm', 'embeddings.norm'),
  'merging_{}/norm': (f'{DOWN}.norm', f'encoder.{DOWN}.norm'),
  'merging_{}/reduction': (f'{DOWN}.reduction', f'encoder.{DOWN}.reduction'),
  'norm': ('norm', 'layernorm'),
  'head': ('head.fc', 'classifier'),
}
BLOCK = {
  'norm1': ('norm1', 'layernorm_before'),
  'norm2': ('norm2', 'layernorm_after'),
  'attention/qkv': ('attn.qkv', tuple(f'attention.self.{x}' for x in ('query', 'key', 'value'))),
  'attention/q_bias': ('attn.q_bias', 'attention.self.query.bias'),
  'attention/v_bias': ('attn.v_bias', 'attention.self.value.bias'),
  'attention/logit_scale': ('attn.logit_scale', 'attention.self.logit_scale'),
  'attention/position_bias/table': (f'attn.{TABLE}', f'attention.self.{TABLE}'),
  'attention/position_bias/up': ('attn.cpb_mlp.0', f'attention.self.{MLP}.0'),
  'attention/position_bias/down': ('attn.cpb_mlp.2', f'attention.self.{MLP}.2'),
  'attention/out': ('attn.proj', 'attention.output.dense'),
  'mlp/up': ('mlp.fc1', 'intermediate.dense'),
  'mlp/down': ('mlp.fc2', 'output.dense'),
}
TIMM, HUGGINGFACE = (
  column(OUTER, i) | below('stage_{}/block_{}/', block, column(BLOCK, i))
  for i, block in enumerate(('layers.{}.blocks.{}.', 'encoder.layers.{}.blocks.{}.'))
)

# Constants that older versions have stored, and the token of masked pretraining.
IGNORED = r'.*(relative_position_index|relative_coords_table|attn_mask|mask_token)$'


def _authors(name: str) -> str:
  return _merging_ends_a_stage(name).replace('head.fc.', 'head.')


def _huggingface(sides: Sides) -> PartOf:
  version_2 = any(name.endswith('logit_scale') for name in (*sides.ours, *sides.theirs))
  prefix = 'swinv2.' if version_2 else 'swin.'
  return by_table(HUGGINGFACE, prefix=prefix, rename=_merging_ends_a_stage, odd=ODD)(sides)


def _merging_ends_a_stage(name: str) -> str:
  return re.sub(r'layers\.(\d+)\.down', lambda m: f'layers.{int(m[1]) - 1}.down', name)


def _bias_to_ours(table, shape):
  side = round(len(table) ** 0.5)
  if side**2 != len(table):
    raise UserError(f'a bias table of {len(table)} offsets is not that of square windows')
  table = table.reshape(side, side, -1)
  return table if side == shape[0] else resample_bias(table, (shape[0] + 1) // 2)


ODD = {
  # [rows, columns, n] <-> [rows · columns, n], resampled where windows have another side.
  'position_bias/table': Layout(
    theirs=lambda shape: (None, shape[-1]),
    to_ours=_bias_to_ours,
    to_theirs=lambda table: table.reshape(-1, table.shape[-1]),
  ),
  'logit_scale': reshaped(lambda shape: (*shape, 1, 1)),
}


def _pictures(mode: str, config: Mapping[str, Any], shapes: Shapes) -> Preprocessing:
  """As timm and Hugging Face evaluate them, where a file does not say it."""
  version_2 = any(name.endswith('.logit_scale') for name in shapes)
  size = image_size_of(config) or ((256, 256) if version_2 else (224, 224))
  whole = mode == 'squash' or min(size) >= 384
  return Preprocessing(size, mode, 1.0 if whole else 0.9, 'bicubic')


def _format(whose: str, part_of: Callable[[Sides], PartOf], **own: Any) -> Format:
  return Format(part_of, partial(_swin_specs.from_any, whose, part_of), ignored=IGNORED, **own)


FORMATS = {
  'timm': _format(
    'timm',
    by_table(TIMM, odd=ODD),
    config=_swin_specs.to_timm,
    architectures=r'swin_(?!s3)|swinv2_(?!cr)',
    sign=r'layers\.1\.downsample\.norm|head\.fc\.weight$',
    keys=_swin_specs.TIMM_KEYS,
    preprocessing=partial(_pictures, 'crop'),
  ),
  'microsoft': _format(
    'microsoft',
    by_table(TIMM, rename=_authors, odd=ODD),
    sign=r'layers\.0\.downsample\.norm',
    keys=_swin_specs.TIMM_KEYS,
    preprocessing=partial(_pictures, 'crop'),
  ),
  'huggingface': _format(
    'huggingface',
    _huggingface,
    config=_swin_specs.to_huggingface,
    architectures=r'swin(v2)?$',
    sign=r'(swin|swinv2)\.',
    keys=_swin_specs.HUGGINGFACE_KEYS,
    preprocessing=partial(_pictures, 'squash'),
  ),
}
