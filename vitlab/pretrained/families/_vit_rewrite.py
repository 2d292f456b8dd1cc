"""A ViT of ours as another one that computes the same and that timm or Hugging Face can say.

fixed positions (or none)     a table of them, which they take for a learned one
another epsilon, for timm     all that flows past the norms larger or smaller by one factor: only
                              its norms see it, and (x s) / sqrt(var s² + e s²) has no s
registers, gap, SwiGLU, ...   for Hugging Face a DINOv2: factors of 1 on the branches, a classifier
                              of class token and mean whose other half is 0
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax.traverse_util import unflatten_dict
from jaxtyping import PyTree

from vitlab.ops.positions import Grid, sincos_2d
from vitlab.pretrained import specs
from vitlab.pretrained.assemble import flatten, numpy
from vitlab.pretrained.families import _dinov2

TIMM_EPSILON = 1e-6
PREFIX, TABLE = 'params/position_embedding/prefix', 'params/position_embedding/grid'
Flat = dict[str, np.ndarray]


def for_timm(
  tree: PyTree, spec: Mapping[str, Any], image_size: Grid
) -> tuple[PyTree, dict[str, Any]]:
  """The same model with a table of positions and timm's epsilon, where that can be."""
  words, flat = specs.all_words(spec), _flat(tree)
  changed = {}
  fixed, distils = words['position_embedding'] == 'sincos_2d', words['distillation_token']
  if fixed or distils and words['position_embedding'] in ('learned_patches', 'none'):
    changed |= _table(flat, words, image_size, everywhere=distils)
  epsilon = words['norm_epsilon']
  if epsilon > 0 and epsilon != TIMM_EPSILON and words['pool'] != 'map' and not words['backbone']:
    _scale(flat, math.sqrt(TIMM_EPSILON / epsilon), words['qk_norm'])
    changed['norm_epsilon'] = TIMM_EPSILON
  if words['mlp'] == 'swiglu':  # theirs has such factors, and a null in its arguments is not heard
    changed |= _factors(flat, words)
  return unflatten_dict(flat, sep='/'), {**spec, **changed}


def for_huggingface(
  tree: PyTree, spec: Mapping[str, Any], image_size: Grid
) -> tuple[PyTree, dict[str, Any]]:
  """The same model as Hugging Face's ViT or DeiT, else its DINOv2, where that can be."""
  words, flat = specs.all_words(spec), _flat(tree)
  changed = {}
  plain = words['mlp'] in specs.HF_ACTIVATIONS.values() and words['pool'] == 'cls'
  plain = plain and not (words['num_registers'] or words['layer_scale'])
  if words['position_embedding'] not in ('learned', 'rope_2d'):
    changed |= _table(flat, words, image_size, everywhere=plain)
  if not plain and _dinov2.fits(words):
    changed |= _as_dinov2(flat, words | changed)
  return unflatten_dict(flat, sep='/'), {**spec, **changed}


def _as_dinov2(flat: Flat, words: Mapping[str, Any]) -> dict[str, Any]:
  """Makes the parameters those of a DINOv2; returns the words that change."""
  changed = _factors(flat, words)
  if words['num_registers'] and PREFIX in flat:
    before = flat.pop(PREFIX)
    flat['params/cls_token'] = flat['params/cls_token'] + before[:1]
    flat['params/registers'] = flat['params/registers'] + before[1:]
    changed['position_embedding'] = 'learned_patches'
  if words['num_classes'] and words['pool'] != 'cls_gap':
    kernel = flat['params/head/kernel']
    halves = [kernel, np.zeros_like(kernel)]
    flat['params/head/kernel'] = np.concatenate(halves if words['pool'] == 'cls' else halves[::-1])
    changed['pool'] = 'cls_gap'
  return changed


def _factors(flat: Flat, words: Mapping[str, Any]) -> dict[str, Any]:
  """Writes factors of 1 on all branches where there are none; returns the word for them."""
  if words['layer_scale']:
    return {}
  for path in [path for path in flat if path.endswith('/norm1/scale')]:
    for number in (1, 2):
      flat[path.replace('norm1/scale', f'scale{number}/gamma')] = np.ones_like(flat[path])
  return dict(layer_scale=1.0)


def _table(
  flat: Flat, words: Mapping[str, Any], image_size: Grid, everywhere: bool
) -> dict[str, Any]:
  """Writes fixed positions, or zeros for none, into the parameters; returns the word for them.

  Args:
    flat: Path -> parameter.
    words: Of the model.
    image_size: Pixels (height, width).
    everywhere: Whether the tokens before the patches get positions too, zeros.
  """
  if words['backbone']:
    return {}
  kernel = flat['params/patch_embed/kernel']
  if TABLE not in flat:
    grid = (image_size[0] // kernel.shape[0], image_size[1] // kernel.shape[1])
    fixed = np.zeros((*grid, kernel.shape[-1]))
    if words['position_embedding'] == 'sincos_2d':
      fixed = sincos_2d(grid, kernel.shape[-1])
    flat[TABLE] = fixed.astype(kernel.dtype)
  if not everywhere:
    return dict(position_embedding='learned_patches')
  count = 2 if words['distillation_token'] else 1
  flat[PREFIX] = np.zeros((count, kernel.shape[-1]), kernel.dtype)
  return dict(position_embedding='learned')


def _scale(flat: Flat, factor: float, qk_norm: bool) -> None:
  """Multiplies what is added up along the blocks, and queries and keys that are normed too."""
  branches = ('/attention/out/', '/mlp/down/')
  for path, array in flat.items():
    added = path.startswith(
      ('params/patch_embed/', 'params/position_embedding/', 'params/registers')
    ) or path in ('params/cls_token', 'params/dist_token')
    if added or any(branch in path for branch in branches):
      flat[path] = _times(array, factor)
    elif qk_norm and '/attention/qkv/' in path:
      axis = 1 if path.endswith('kernel') else 0  # queries, keys and values
      queries, keys, values = np.moveaxis(array, axis, 0)
      parts = [_times(queries, factor), _times(keys, factor), values]
      flat[path] = np.stack(parts, axis)


def _times(array: np.ndarray, factor: float) -> np.ndarray:
  return (array.astype(np.float64) * factor).astype(array.dtype)


def _flat(tree: PyTree) -> Flat:
  return {path: numpy(leaf) for path, leaf in flatten(tree).items()}
