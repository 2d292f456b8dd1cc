"""DINOv2 (arXiv:2304.07193) and its registers (arXiv:2309.16588) under two sets of names.

Those of Hugging Face, Dinov2Model, Dinov2ForImageClassification and the same WithRegisters, and
those of facebookresearch/dinov2, a single file without a config.json. timm's are those of all its
ViTs.

The positions, learned on 37×37 patches, are meant for 16×16 and more: each code resamples them at
every size in a way of its own, which is followed here. Without registers both take torch's bicubic
without anti-aliasing, facebookresearch's with 0.1 of a patch more; with registers with it.
"""

import math
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from vitlab.errors import UserError
from vitlab.ops.positions import Grid, resample_bicubic
from vitlab.pretrained import specs
from vitlab.pretrained.assemble import PartOf, Shapes, Sides
from vitlab.pretrained.families import _vit_names as names
from vitlab.pretrained.families._vit_sizes import by_shapes, for_huggingface, resolve
from vitlab.pretrained.files import Files
from vitlab.pretrained.layouts import Layout, after_zeros, grid_positions
from vitlab.pretrained.preprocessing import Preprocessing
from vitlab.pretrained.tables import Seen, by_table, torch_leaf


def is_it(theirs: Shapes, spec: Mapping[str, Any]) -> bool:
  """Whether Hugging Face's tensors, or on export a ViT of ours, are those of a DINOv2."""
  if theirs:
    return any('.layer_scale1.' in name for name in theirs)
  words = specs.all_words(spec)
  return bool(words['layer_scale']) and fits(words)


def fits(words: Mapping[str, Any]) -> bool:
  """Whether Hugging Face's DINOv2 computes this ViT, once it has factors on its branches."""
  pool = words['pool']
  both = pool == 'cls_gap' or pool == 'gap' and bool(words['class_token'])
  return (
    not (words['backbone'] or words['distillation_token'] or words['qk_norm'])
    and (pool == 'cls' or bool(words['num_classes']) and both)
    and words['norm'] == 'layernorm'
    and words['position_embedding'] != 'rope_2d'
    and words['mlp'] in ('swiglu', *specs.HF_ACTIVATIONS.values())
  )


def huggingface(sides: Sides) -> PartOf:
  """Under Hugging Face's names; those of the bare model lack a prefix."""
  prefix = 'dinov2_with_registers.' if 'params/registers' in sides.ours else 'dinov2.'
  if sides.theirs:
    prefix = next((m[0] for name in sides.theirs if (m := re.match(r'dinov2\w*\.', name))), '')
  elif 'params/head/kernel' not in sides.ours:
    prefix = ''
  gated = names.is_gated(sides)
  return by_table(
    names.DINOV2_GATED if gated else names.DINOV2,
    prefix=prefix,
    odd=names.odd(sides, packed=gated) | _positions(sides, 'embeddings.position_embeddings', 0.0),
    leaves=lambda leaf: '.lambda1' if leaf == 'gamma' else torch_leaf(leaf),
  )(sides)


def facebook(sides: Sides) -> PartOf:
  """Under the names of facebookresearch/dinov2."""
  gated = names.is_gated(sides)
  return by_table(
    names.FACEBOOK_GATED if gated else names.FACEBOOK,
    odd=names.odd(sides, packed=gated) | _positions(sides, 'pos_embed', 0.1),
  )(sides)


def _positions(sides: Sides, name: str, offset: float) -> dict[str, Layout]:
  """The positions of the patches, after that of the class token, which may be folded into it."""
  grid = None
  for theirs, shape in sides.theirs.items():
    if theirs.endswith(name):
      grid = (math.isqrt(shape[1] - 1),) * 2
  if 'params/position_embedding/prefix' in sides.ours:
    layout = grid_positions(1, grid, partial(resample_bicubic, offset=offset))
  else:
    layout = after_zeros(grid_positions(1, grid))
  return {'position_embedding/grid': layout}


def fold(files: Files) -> Files:
  """With registers, the class token has its position added: the registers are nowhere."""
  found = [name for name in files.tensors if re.search(r'(^|\.)register_tokens$', name)]
  if not found:
    return files
  tensors = dict(files.tensors)
  prefix = found[0].removesuffix('register_tokens')
  positions = next(n for n in tensors if re.fullmatch(rf'{prefix}pos(ition)?_embed(dings)?', n))
  table = tensors[positions].copy()
  tensors[f'{prefix}cls_token'] = tensors[f'{prefix}cls_token'] + table[:, :1]
  table[:, :1] = 0
  tensors[positions] = table
  if not tensors[found[0]].size:
    del tensors[found[0]]
  return files._replace(tensors=tensors)


def from_huggingface(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
  """The model of Dinov2Model, Dinov2ForImageClassification and both WithRegisters."""
  seen = Seen(huggingface, shapes)
  width, patch = seen['patch_embed/kernel'][0], seen['patch_embed/kernel'][2:]
  act = specs.named(config['hidden_act'], specs.HF_ACTIVATIONS, 'activation of Hugging Face')
  specs.check_patch(config['patch_size'], patch)
  heads = specs.check_heads('num_attention_heads', config['num_attention_heads'], width)
  # A classifier that has no classes gives what the other ones see.
  classifies = any(name.startswith('dinov2') for name in shapes)
  folded = 'with_registers' in config['model_type']
  return (
    dict(mlp=act)
    | by_shapes(seen, heads)
    | dict(
      pool='cls_gap' if classifies else 'cls',
      position_embedding='learned_patches' if folded else 'learned',
      norm_epsilon=config['layer_norm_eps'],
      layer_scale=config.get('layerscale_value') or 1.0,
    )
  )


def from_facebook(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
  """The model of facebookresearch/dinov2, whose heads are 64 wide."""
  del config
  seen = Seen(facebook, shapes)
  width = seen['patch_embed/kernel'][0]
  if width % 64:
    raise UserError(
      f'a DINOv2 has heads of 64 numbers, which its width {width} does not divide into'
    )
  return (
    dict(mlp='gelu')
    | by_shapes(seen, width // 64)
    | dict(
      pool='cls',
      position_embedding='learned_patches' if 'registers' in seen else 'learned',
      norm_epsilon=1e-6,
      layer_scale=1.0 if 'encoder/block_0/scale1/gamma' in seen else 0.0,
    )
  )


def pictures(config: Mapping[str, Any], shapes: Shapes) -> Preprocessing:
  """As facebookresearch/dinov2 evaluates: at 224 pixels, whatever the positions were learned on."""
  del config
  patch = shapes['patch_embed.proj.weight'][2]
  learned = math.isqrt(shapes['pos_embed'][1] - 1) * patch
  size = 224 if learned == 518 else learned
  return Preprocessing((size, size), 'crop', 0.875)


def to_huggingface(spec: Mapping[str, Any], image_size: Grid) -> dict[str, Any]:
  """The config.json of Dinov2ForImageClassification, Dinov2Model or the same WithRegisters."""
  words = specs.all_words(spec)
  size, patch = resolve(words)
  gated, registers = words['mlp'] == 'swiglu', words['num_registers']
  fits = [n for n in range(1, 65) if _hidden(size.width * n, gated) == size.mlp_dim]
  specs.refuse(
    "Hugging Face's DINOv2",
    image_size=image_size[0] != image_size[1],
    patch_size=patch[0] != patch[1],
    mlp_dim=not fits,  # transformers 5 takes whole numbers only
  )
  kind, suffix = 'Dinov2WithRegisters' if registers else 'Dinov2', 'ForImageClassification'
  own = dict(num_register_tokens=registers) if registers else dict(use_mask_token=False)
  return dict(
    architectures=[kind + (suffix if words['num_classes'] else 'Model')],
    model_type='dinov2_with_registers' if registers else 'dinov2',
    mlp_ratio=fits[0],
    **for_huggingface(words, image_size),
    layerscale_value=words['layer_scale'],
    use_swiglu_ffn=gated,
    **own,
  )


def _hidden(total: int, gated: bool) -> int:
  """Of a gated mlp they take two thirds, and round up to eights."""
  return (total * 2 // 3 + 7) // 8 * 8 if gated else total
