"""Weights of other people's Vision Transformers.

    model = vitlab.models.vit.make('S/16', 1000, mlp='gelu')
    like = jax.eval_shape(model.init, key, image)
    variables = vitlab.pretrained.import_tensors(state_dict, like, 'vit', 'timm')

The names say what a tensor is, not what the model computes: that stays with `make`.

| weights                 | make(...)                                                          |
| timm, DeiT              | mlp='gelu'                                                         |
| DeiT III                | mlp='gelu', layer_scale=1e-6, position_embedding='learned_patches' |
| timm, global_pool='avg' | mlp='gelu', pool='gap_norm' (class_token=True if there is one)     |
| Hugging Face ViT        | mlp='gelu', norm_epsilon=1e-12                                     |

Those among them that were trained in JAX (AugReg) were trained with mlp='gelu_tanh'.
"""

import re

from vitlab.ops.positions import Grid
from vitlab.pretrained._assemble import Format, Part, PartOf, Sides, lookup
from vitlab.pretrained._layouts import (
  Shape,
  batched,
  conv,
  first_positions,
  flat,
  grid_positions,
  linear,
)

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

# transformers 5 renames modules in memory, though not in its files.
HUGGINGFACE_5 = {
  r'encoder\.layer\.': 'layers.',
  r'attention\.attention\.(\w)\w+\.': r'attention.\1_proj.',
  r'attention\.output\.dense': 'attention.o_proj',
  r'intermediate\.dense': 'mlp.fc1',
  r'(\d)\.output\.dense': r'\1.mlp.fc2',
}


def _timm(sides: Sides) -> PartOf:
  table = dict(TIMM)
  if 'fc_norm.weight' in sides.theirs or sides.spec.get('pool') == 'gap_norm':
    table['norm'] = 'fc_norm'
  if any(path.endswith('mlp/gate/kernel') for path in sides.ours):
    table = {k: v.replace('.fc1', '.fc1_x') if k.endswith('/up') else v for k, v in table.items()}
  return lambda path, shape: _part(lookup(table, path), path, shape, sides)


def _huggingface(sides: Sides) -> PartOf:
  def rename(name: str) -> str:
    if name.startswith('classifier.'):
      return name
    if any(re.match(r'(vit\.)?layers\.', there) for there in sides.theirs):
      for old, new in HUGGINGFACE_5.items():
        name = re.sub(old, new, name)
    bare = sides.theirs and not any(there.startswith('vit.') for there in sides.theirs)
    return name if bare else f'vit.{name}'

  def part_of(path, shape):
    names = tuple(map(rename, lookup(HUGGINGFACE, path)))
    return _part(names, path, shape, sides)

  return part_of


def _part(names: tuple[str, ...], path: str, shape: Shape, sides: Sides) -> Part | None:
  """The tensors and the layout of a parameter."""
  path = path.removeprefix('params/')
  prefix = sides.ours.get('params/position_embedding/prefix')
  if not names:
    return None
  if path == 'position_embedding/prefix':
    return Part(names, first_positions(), (1, 0))
  if path == 'position_embedding/grid':
    return Part(names, grid_positions(prefix[0] if prefix else 0, _grid(sides)), (1, 1))
  if path == 'patch_embed/kernel':
    return Part(names, conv)
  if path.endswith('/kernel'):
    return Part(names, linear(contracted=2 if path.endswith('attention/out/kernel') else 1))
  if path in ('cls_token', 'dist_token', 'registers', 'pool/probe'):
    return Part(names, batched)
  return Part(names, flat)


def _grid(sides: Sides) -> Grid | None:
  """The patches that the positions were learned on, if the image size is known."""
  if sides.image_size is None:
    return None
  y, x = sides.ours['params/patch_embed/kernel'][:2]
  return sides.image_size[0] // y, sides.image_size[1] // x


FORMATS = {
  'timm': Format(_timm),
  'huggingface': Format(_huggingface, ignored=r'(vit\.)?pooler\.'),
}
