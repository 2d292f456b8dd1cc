"""vitlab's Swin computes what timm's and Hugging Face's compute, with their weights."""

import math
from functools import cache

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import parity
from timm.models.swin_transformer import SwinTransformer
from timm.models.swin_transformer_v2 import SwinTransformerV2
from transformers import (
  SwinConfig,
  SwinForImageClassification,
  Swinv2Config,
  Swinv2ForImageClassification,
)

from vitlab.errors import UserError
from vitlab.layers import attention
from vitlab.layers.blocks import Block
from vitlab.layers.mlp import make_mlp
from vitlab.models import swin
from vitlab.ops import windows
from vitlab.pretrained import import_tensors

TINY = dict(patch_size=2, window_size=4, embed_dim=8, depths=(2, 2), num_heads=(1, 2))
OURS = dict(num_classes=5, patch_size=2, window_size=4, width=8, depths=(2, 2), num_heads=(1, 2))
# name -> (format, version, image size, options of theirs). Of 2×2 pixels 22×38 make a map of 11×19
# and one of 6×10: neither is a whole number of windows, and the first is of odd size.
CASES = {
  'timm': ('timm', 1, (32, 48), {}),
  'timm_smaller_than_a_window': ('timm', 1, (16, 16), dict(patch_size=4)),
  'huggingface': ('huggingface', 1, (22, 38), {}),
  'timm_v2': ('timm', 2, (32, 48), {}),
  'huggingface_v2': ('huggingface', 2, (20, 44), {}),
  'timm_v2_pretrained': ('timm', 2, (16, 16), dict(pretrained_window_sizes=(8, 3))),
}
PADDED = {'timm_padded': ('timm', 1, (22, 38), {})}  # where timm is another model


def theirs(case: str) -> torch.nn.Module:
  format, version, size, options = (CASES | PADDED)[case]
  options = TINY | options
  if format == 'timm':
    kind = SwinTransformer if version == 1 else SwinTransformerV2
    return kind(img_size=size, num_classes=5, **options)
  if version == 1:
    return SwinForImageClassification(SwinConfig(image_size=size, num_labels=5, **options))
  return Swinv2ForImageClassification(Swinv2Config(image_size=size, num_labels=5, **options))


def exact_coordinates(module: torch.nn.Module) -> None:
  """Both libraries compute the coordinates of version 2 in float32, whatever the weights are."""
  for layer in module.modules():
    if hasattr(layer, 'relative_coords_table'):
      side, learned = layer.window_size[0], layer.pretrained_window_size[0]
      x = torch.arange(1 - side, side, dtype=torch.float64) * 8 / max((learned or side) - 1, 1)
      x = torch.sign(x) * torch.log2(1 + x.abs()) / math.log2(8)
      table = torch.stack(torch.meshgrid(x, x, indexing='ij'), -1)[None]
      torch.testing.assert_close(table.float(), layer.relative_coords_table.float())
      layer.relative_coords_table = table


@cache
def oracle(case: str):
  format, version, size, _ = (CASES | PADDED)[case]
  module = parity.perturb(theirs(case))
  if version == 2:
    exact_coordinates(module)
    with torch.no_grad():  # above the clamp, in a block that masks nothing
      next(p for n, p in module.named_parameters() if n.endswith('logit_scale')).add_(3)
  layers = module.layers if format == 'timm' else module.base_model.encoder.layers
  blocks = [block for layer in layers for block in layer.blocks]
  logits = (lambda y: y) if format == 'timm' else (lambda y: y.logits)
  results = parity.oracle(module, blocks, picture(case), logits)
  return module.state_dict(), results


def picture(case: str) -> np.ndarray:
  return parity.image((2, *(CASES | PADDED)[case][2], 3))


def make(case: str, **options):
  _, version, _, given = (CASES | PADDED)[case]
  variant = 'mu' if version == 1 else 'V2-mu'
  return swin.make(variant, **OURS | given | dict(dtype='float64') | options)


def load(tensors, model, case: str):
  like = {'params': parity.abstract(model, picture(case))}
  return import_tensors(tensors, like, 'swin', (CASES | PADDED)[case][0])['params']


@pytest.mark.parametrize('case', CASES)
def test_equals(case, x64):
  """Logits, every block and every gradient.

  Theirs add -100 (Hugging Face's version 2: twice) to the logits of those who may not look, ours
  hide them: it is the same.
  """
  tensors, expected = oracle(case)
  model = make(case)
  got = parity.ours(model, load(tensors, model, case), picture(case))
  assert parity.error(got.logits, expected.logits) < 1e-9
  assert len(got.blocks) == len(expected.blocks) == 4
  for a, b in zip(got.blocks, expected.blocks):
    assert parity.error(a.reshape(b.shape), b) < 1e-9
  assert parity.error(got.grads, load(expected.grads, model, case)) < 1e-9


# What a trap changes: (monkeypatch, our parameters) -> options of `make`, parameters.


def replaced(module, name, change):
  """A function that is called through its module, by what `change` makes of it."""

  def trap(monkeypatch, params):
    monkeypatch.setattr(module, name, change(getattr(module, name)))
    return {}, params

  return trap


def options(**words):
  return lambda monkeypatch, params: (words, params)


def merge_row_by_row(monkeypatch, params):
  """[0, 0], [0, 1], [1, 0], [1, 1], said by the rows of the matrix."""
  swap = lambda x: x.reshape(4, 8, -1)[np.array([0, 2, 1, 3])].reshape(x.shape)  # noqa: E731
  return {}, params | {'merging_1': jax.tree.map(swap, params['merging_1'])}


def roll_before_padding(monkeypatch, params):
  """As timm does."""
  pad, shift, size = windows.pad_to_multiple, windows.cyclic_shift, []

  def remember(x, y, w):
    size[:] = x.shape[1:3]
    return pad(x, y, w)

  def shift_within(x, n):
    return pad(shift(x[:, : size[0], : size[1]], n), 4, 4)

  monkeypatch.setattr(windows, 'pad_to_multiple', remember)
  monkeypatch.setattr(windows, 'cyclic_shift', shift_within)
  return {}, params


def mask_the_padding(monkeypatch, params):
  """Keys that lie in the padding: the last row and column, say, of the shifted windows."""
  mask = windows.shift_mask

  def masked(size, window, shift):
    padded = np.zeros(size, bool)
    padded[-1 - shift, :] = padded[:, -1 - shift] = True
    padded = padded.reshape(size[0] // window, window, -1, window).transpose(0, 2, 1, 3)
    return mask(size, window, shift) & ~padded.reshape(-1, 1, window**2)

  monkeypatch.setattr(windows, 'shift_mask', masked)
  return {}, params


def columns_first(index):
  def swapped(window):
    rows, columns = np.divmod(index(window), 2 * window - 1)
    return columns * (2 * window - 1) + rows

  return swapped


def linear_coordinates(log):
  def linear(window, pretrained=0):
    x = np.arange(1 - window, window) * 8 / (window - 1)
    return np.stack(np.meshgrid(x, x, indexing='ij'), -1)

  return linear


TRAPS = {
  'key minus query': (
    'huggingface',
    replaced(windows, 'relative_position_index', lambda f: lambda window: f(window).T),
  ),
  'columns before rows': (
    'huggingface',
    replaced(windows, 'relative_position_index', columns_first),
  ),
  'neighbours row by row': ('huggingface', merge_row_by_row),
  'epsilon 1e-6': ('huggingface', options(norm_epsilon=1e-6)),
  'tanh GELU': (
    'huggingface',
    replaced(swin, 'make_mlp', lambda f: lambda name, *rest: make_mlp('gelu_tanh', *rest)),
  ),
  'roll before padding': ('huggingface', roll_before_padding),
  'padding masked': ('huggingface', mask_the_padding),
  'no mask': (
    'huggingface',
    replaced(windows, 'shift_mask', lambda f: lambda *args: np.ones_like(f(*args))),
  ),
  'first block shifted': (
    'huggingface',
    replaced(windows, 'window_and_shift', lambda f: lambda a, b, shifted: f(a, b, not shifted)),
  ),
  'norms before the branches': (
    'huggingface_v2',
    replaced(swin, 'Block', lambda f: lambda *args: Block(*args[:-1], 'pre')),
  ),
  'no clamp of the scale': (
    'huggingface_v2',
    replaced(jnp, 'minimum', lambda f: lambda x, y: x),
  ),
  'linear offsets': ('huggingface_v2', replaced(windows, 'log_coordinates', linear_coordinates)),
  'cosines of nothing': ('huggingface_v2', replaced(attention, 'unit', lambda f: lambda x: x)),
}


def logits(model, params, case: str) -> np.ndarray:
  @jax.jit
  def run(params, image):
    return model.apply({'params': params}, image)[0]

  return run(params, jnp.asarray(picture(case)))


@pytest.mark.parametrize('trap', TRAPS)
def test_a_trap_would_be_seen(trap, monkeypatch, x64):
  case, change = TRAPS[trap]
  tensors, expected = oracle(case)
  words, params = change(monkeypatch, load(tensors, make(case), case))
  assert parity.error(logits(make(case, **words), params, case), expected.logits) > 1e-6


def test_timm_rolls_before_it_pads(monkeypatch, x64):
  """So the mutant is timm's, where windows do not divide the map, and ours is not."""
  tensors, expected = oracle('timm_padded')
  params = load(tensors, make('timm_padded'), 'timm_padded')
  assert parity.error(logits(make('timm_padded'), params, 'timm_padded'), expected.logits) > 1e-6
  roll_before_padding(monkeypatch, params)
  assert parity.error(logits(make('timm_padded'), params, 'timm_padded'), expected.logits) < 1e-9


def test_a_norm_before_the_merging_of_version_2_does_not_fit(x64):
  """Of version 1 it is four times as wide."""
  tensors, _ = oracle('timm')
  with pytest.raises(UserError, match='layers.0.blocks.0.attn.logit_scale'):
    load(tensors, make('timm_v2'), 'timm_v2')
  swapped = dict(oracle('timm_v2')[0])
  swapped['layers.1.downsample.norm.weight'] = torch.zeros(32)
  with pytest.raises(UserError, match=r'downsample.norm.weight \(32,\), needed \(16,\)'):
    load(swapped, make('timm_v2'), 'timm_v2')


def test_reads_the_names_of_the_authors_and_not_as_timm_s(x64):
  tensors, _ = oracle('timm')
  renamed = {
    name.replace('layers.1.down', 'layers.0.down').replace('head.fc.', 'head.'): tensor
    for name, tensor in tensors.items()
  }
  renamed['layers.0.blocks.1.attn_mask'] = torch.zeros(4, 16, 16)
  renamed['layers.0.blocks.1.attn.relative_position_index'] = torch.zeros(16, 16)
  model = make('timm')
  like = {'params': parity.abstract(model, picture('timm'))}
  got = import_tensors(renamed, like, 'swin', 'microsoft')['params']
  assert parity.error(got, load(tensors, model, 'timm')) == 0
  with pytest.raises(UserError, match=r'missing: .*head\.fc\.bias.*\nunused: head\.bias'):
    load(renamed, model, 'timm')


def test_the_bare_model_of_huggingface_has_no_prefix(x64):
  tensors, _ = oracle('huggingface')
  bare = {k.removeprefix('swin.'): v for k, v in tensors.items() if 'classifier' not in k}
  model = make('huggingface', num_classes=None)
  assert (
    parity.error(
      load(bare, model, 'huggingface'),
      {k: v for k, v in load(tensors, make('huggingface'), 'huggingface').items() if k != 'head'},
    )
    == 0
  )


def test_bias_tables_are_resampled_to_the_windows_of_the_model(x64):
  tensors, _ = oracle('timm')
  params = load(tensors, make('timm', window_size=6), 'timm')
  table = tensors['layers.1.blocks.0.attn.relative_position_bias_table']
  expected = torch.nn.functional.interpolate(table.T.reshape(1, 2, 7, 7), size=11, mode='bicubic')[
    0
  ]
  got = params['stage_1']['block_0']['attention']['position_bias']['table']
  np.testing.assert_allclose(got, expected.permute(1, 2, 0), atol=1e-12)
