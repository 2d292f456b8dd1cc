"""Weights of other people's Vision Transformers.

    model = vitlab.models.vit.make('S/16', 1000, mlp='gelu')
    like = jax.eval_shape(model.init, key, image)['params']
    params = from_timm(state_dict, like)

The names say what a tensor is, not what the model computes: that stays with `make`.

| weights                 | make(...)                                                          |
| timm, DeiT              | mlp='gelu'                                                         |
| DeiT III                | mlp='gelu', layer_scale=1e-6, position_embedding='learned_patches' |
| timm, global_pool='avg' | mlp='gelu', pool='gap_norm' (class_token=True if there is one)     |
| Hugging Face ViT        | mlp='gelu', norm_epsilon=1e-12                                     |

Those among them that were trained in JAX (AugReg) were trained with mlp='gelu_tanh'.
"""

import math
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from vitlab.errors import UserError
from vitlab.layers.stack import stack_blocks, unstack_blocks
from vitlab.ops.positions import Grid, resample
from vitlab.pretrained._assemble import Misshapen, assemble

# Our module or parameter -> their name; {i} is the number of the block.
TIMM = {
  'patch_embed': 'patch_embed.proj',
  'cls_token': 'cls_token',
  'registers': 'reg_token',
  'position_embedding': 'pos_embed',
  'encoder/block_{i}/norm1': 'blocks.{i}.norm1',
  'encoder/block_{i}/norm2': 'blocks.{i}.norm2',
  'encoder/block_{i}/attention/qkv': 'blocks.{i}.attn.qkv',
  'encoder/block_{i}/attention/q_norm': 'blocks.{i}.attn.q_norm',
  'encoder/block_{i}/attention/k_norm': 'blocks.{i}.attn.k_norm',
  'encoder/block_{i}/attention/out': 'blocks.{i}.attn.proj',
  'encoder/block_{i}/scale1': 'blocks.{i}.ls1',
  'encoder/block_{i}/scale2': 'blocks.{i}.ls2',
  'encoder/block_{i}/mlp/gate': 'blocks.{i}.mlp.fc1_g',
  'encoder/block_{i}/mlp/up': 'blocks.{i}.mlp.fc1',
  'encoder/block_{i}/mlp/down': 'blocks.{i}.mlp.fc2',
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
}

# As on disk; several names are queries, keys and values apart.
HUGGINGFACE = {
  'patch_embed': 'embeddings.patch_embeddings.projection',
  'cls_token': 'embeddings.cls_token',
  'position_embedding': 'embeddings.position_embeddings',
  'encoder/block_{i}/norm1': 'encoder.layer.{i}.layernorm_before',
  'encoder/block_{i}/norm2': 'encoder.layer.{i}.layernorm_after',
  'encoder/block_{i}/attention/qkv': (
    'encoder.layer.{i}.attention.attention.query',
    'encoder.layer.{i}.attention.attention.key',
    'encoder.layer.{i}.attention.attention.value',
  ),
  'encoder/block_{i}/attention/out': 'encoder.layer.{i}.attention.output.dense',
  'encoder/block_{i}/mlp/up': 'encoder.layer.{i}.intermediate.dense',
  'encoder/block_{i}/mlp/down': 'encoder.layer.{i}.output.dense',
  'norm': 'layernorm',
  'head': 'classifier',
}

# transformers 5 renames modules in memory, though not in its files.
HUGGINGFACE_5 = {
  r'^layers\.(\d+)\.': r'encoder.layer.\1.',
  r'attention\.q_proj': 'attention.attention.query',
  r'attention\.k_proj': 'attention.attention.key',
  r'attention\.v_proj': 'attention.attention.value',
  r'attention\.o_proj': 'attention.output.dense',
  r'mlp\.fc1': 'intermediate.dense',
  r'mlp\.fc2': 'output.dense',
}

LEAVES = {'kernel': 'weight', 'scale': 'weight', 'bias': 'bias', 'gamma': 'gamma'}


def from_timm(state_dict: Mapping[str, Any], like: PyTree, grid: Grid | None = None) -> PyTree:
  """The parameters of timm's `VisionTransformer`, or of DeiT.

  Args:
    state_dict: Name -> tensor.
    like: Our model's parameters or their shapes. They say the number of heads, whether blocks are
      stacked, and the patch grid that learned positions are resampled to.
    grid: The patch grid (rows, columns) that the positions were learned on; needed where neither a
      square nor the grid of `like` is the only possibility.

  Raises:
    UserError: tensors are missing, left over or of another shape, or the grid is not clear.
  """
  table = dict(TIMM)
  if 'fc_norm.weight' in state_dict:
    table['norm'] = 'fc_norm'
  if any('fc1_g' in name for name in state_dict):
    table = {k: v.replace('.fc1', '.fc1_x') if k.endswith('/up') else v for k, v in table.items()}
  return _load(state_dict, like, table, grid)


def from_huggingface(
  state_dict: Mapping[str, Any], like: PyTree, grid: Grid | None = None
) -> PyTree:
  """The parameters of Hugging Face's `ViTForImageClassification` or `ViTModel`.

  Takes the names in files and the ones that transformers 5 has in memory; the pooler, which no
  classifier uses, is left out. Arguments and errors are those of `from_timm`.
  """
  tensors = {}
  for name, tensor in state_dict.items():
    name = name.removeprefix('vit.')
    for pattern, old in HUGGINGFACE_5.items():
      name = re.sub(pattern, old, name)
    if not name.startswith('pooler.'):
      tensors[name] = tensor
  return _load(tensors, like, HUGGINGFACE, grid)


def _load(tensors, like, table, grid):
  scanned = 'blocks' in like['encoder']
  flat = jax.eval_shape(unstack_blocks, like)
  num_prefix = flat.get('position_embedding', {}).get('prefix', np.zeros(0)).shape[0]
  convert = partial(_convert, num_prefix=num_prefix, grid=grid)
  params = assemble(flat, tensors, partial(_names, table), convert)
  return stack_blocks(params) if scanned else params


def _names(table: Mapping[str, Any], path: str) -> list[str]:
  """The tensors that a parameter is made of."""
  number = re.search(r'block_(\d+)', path)
  path = re.sub(r'block_\d+', 'block_{i}', path)
  module, _, leaf = path.rpartition('/')
  if path in table:
    theirs, suffix = table[path], ''
  elif module == 'position_embedding':
    theirs, suffix = table[module], ''
  elif module in table:
    theirs, suffix = table[module], '.' + LEAVES[leaf]
  else:
    return []
  theirs = (theirs,) if isinstance(theirs, str) else theirs
  return [name.format(i=number and number[1]) + suffix for name in theirs]


def _convert(path, arrays, shape, *, num_prefix: int, grid: Grid | None) -> np.ndarray:
  """One parameter in our layout."""
  if path.startswith('position_embedding/'):
    return _positions(path, arrays[0], shape, num_prefix, grid)
  array = np.concatenate(arrays)
  if path == 'patch_embed/kernel':
    y, x, c, d = shape
    return _checked(array, (d, c, y, x)).transpose(2, 3, 1, 0)
  if path.endswith('/kernel'):
    contracted = 2 if path.endswith('attention/out/kernel') else 1
    theirs = math.prod(shape[contracted:]), math.prod(shape[:contracted])
    return _checked(array, theirs).T.reshape(shape)
  if path in ('cls_token', 'registers', 'pool/probe'):
    return _checked(array, (1, *shape))[0]
  return _checked(array, (math.prod(shape),)).reshape(shape)


def _checked(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
  if array.shape != shape:
    raise Misshapen(shape)
  return array


def _positions(path, table, shape, num_prefix, grid) -> np.ndarray:
  """Their flat table [1, prefix + patches, d] -> our prefix, or our grid."""
  if table.ndim != 3 or table.shape[-1] != shape[-1] or table.shape[1] <= num_prefix:
    raise Misshapen((1, f'{num_prefix} + patches', shape[-1]))
  prefix, patches = np.split(table[0], [num_prefix])
  if path.endswith('prefix'):
    return prefix
  grid = grid or _grid(len(patches), shape[:2])
  if math.prod(grid) != len(patches):
    raise Misshapen((1, num_prefix + math.prod(grid), shape[-1]))
  return np.asarray(resample(patches.reshape(*grid, -1), shape[:2]))


def _grid(num_patches: int, ours: Grid) -> Grid:
  """The grid that so many patches come from: a square, or ours."""
  side = math.isqrt(num_patches)
  square, same = side**2 == num_patches, math.prod(ours) == num_patches
  if square and (not same or ours[0] == ours[1]):
    return side, side
  if same and not square:
    return tuple(ours)
  raise UserError(
    f'the positions were learned on {num_patches} patches, the model has {ours[0]}×{ours[1]}'
    f'\ngive the grid (rows, columns) that they were learned on: grid=(..., ...)'
  )
