"""One ViT under many names: AugReg's, both generations of Hugging Face's, and out again."""

import re

import numpy as np
import pytest
import torch
from _helpers import parity
from _helpers.vits import (
  CASES,
  OURS,
  TINY,
  from_huggingface,
  from_timm,
  huggingface_oracle,
  load,
  timm_oracle,
)
from timm.models.vision_transformer import VisionTransformer

from vitlab.models import vit
from vitlab.pretrained import export_tensors, import_tensors
from vitlab.pretrained.assemble import Sides, assemble, disassemble
from vitlab.pretrained.families import _vit_names
from vitlab.pretrained.tables import by_table


def augreg(state_dict) -> dict[str, np.ndarray]:
  """timm's tensors as google-research/vision_transformer names and stores them."""
  arrays = {name: tensor.numpy() for name, tensor in state_dict.items()}
  found = {
    'cls': arrays['cls_token'],
    'embedding/kernel': arrays['patch_embed.proj.weight'].transpose(2, 3, 1, 0),
    'embedding/bias': arrays['patch_embed.proj.bias'],
    'Transformer/posembed_input/pos_embedding': arrays['pos_embed'],
    'Transformer/encoder_norm/scale': arrays['norm.weight'],
    'Transformer/encoder_norm/bias': arrays['norm.bias'],
    'head/kernel': arrays['head.weight'].T,
    'head/bias': arrays['head.bias'],
  }
  for i in range(2):
    block = f'Transformer/encoderblock_{i}'
    for number, norm in ((0, 'norm1'), (2, 'norm2')):
      found[f'{block}/LayerNorm_{number}/scale'] = arrays[f'blocks.{i}.{norm}.weight']
      found[f'{block}/LayerNorm_{number}/bias'] = arrays[f'blocks.{i}.{norm}.bias']
    attention = f'{block}/MultiHeadDotProductAttention_1'
    kernels = np.split(arrays[f'blocks.{i}.attn.qkv.weight'], 3)
    biases = np.split(arrays[f'blocks.{i}.attn.qkv.bias'], 3)
    for name, kernel, bias in zip(('query', 'key', 'value'), kernels, biases):
      found[f'{attention}/{name}/kernel'] = kernel.T.reshape(16, 2, 8)
      found[f'{attention}/{name}/bias'] = bias.reshape(2, 8)
    found[f'{attention}/out/kernel'] = arrays[f'blocks.{i}.attn.proj.weight'].T.reshape(2, 8, 16)
    found[f'{attention}/out/bias'] = arrays[f'blocks.{i}.attn.proj.bias']
    for number in (0, 1):
      dense = f'{block}/MlpBlock_3/Dense_{number}'
      found[f'{dense}/kernel'] = arrays[f'blocks.{i}.mlp.fc{number + 1}.weight'].T
      found[f'{dense}/bias'] = arrays[f'blocks.{i}.mlp.fc{number + 1}.bias']
  return found


def test_augreg_names_give_what_timm_s_give(x64):
  state_dict, _ = timm_oracle('tanh')
  like = parity.abstract(vit.make(**OURS), parity.image())
  assert parity.error(load(augreg(state_dict), like, 'augreg'), from_timm(state_dict, like)) == 0


def test_timm_reads_augreg_as_this_test_writes_it(tmp_path, x64):
  state_dict, _ = timm_oracle('tanh')
  np.savez(tmp_path / 'weights.npz', **augreg(state_dict))
  model = VisionTransformer(**TINY).double()
  model.load_pretrained(str(tmp_path / 'weights.npz'))
  for name, tensor in model.state_dict().items():
    assert torch.equal(tensor, state_dict[name]), name


FORMATS = {
  'timm': list(CASES),
  'huggingface': ['original', 'distilled'],
}


@pytest.mark.parametrize(
  ('format', 'case'), [(format, case) for format, cases in FORMATS.items() for case in cases]
)
def test_export_then_import_is_bit_identical(format, case):
  state_dict, _ = timm_oracle(case)
  spec = dict(name='vit', **OURS | CASES[case][1])
  like = parity.abstract(vit.make(**OURS | CASES[case][1]), parity.image())
  params = {'params': from_timm(state_dict, like)}
  tensors = export_tensors(params, 'vit', format, spec)
  if format == 'timm' and case != 'swiglu':  # which is written as swiglu_packed
    assert set(tensors) == set(state_dict)
  again = import_tensors(tensors, params, 'vit', format, spec=spec)
  assert parity.error(again, params) == 0


def version_5(name: str) -> str:
  """The name that transformers 5 has in memory for a name on disk."""
  for old, new in {
    r'encoder\.layer\.': 'layers.',
    r'attention\.attention\.(\w)\w+\.': r'attention.\1_proj.',
    r'attention\.output\.dense': 'attention.o_proj',
    r'intermediate\.dense': 'mlp.fc1',
    r'(\d)\.output\.dense': r'\1.mlp.fc2',
  }.items():
    name = re.sub(old, new, name)
  return name


def test_both_generations_of_huggingface_names():
  state_dict, _ = huggingface_oracle(1e-6)
  renamed = {version_5(name): tensor for name, tensor in state_dict.items()}
  assert 'vit.layers.1.attention.q_proj.weight' in renamed
  assert 'vit.layers.0.mlp.fc2.bias' in renamed
  like = parity.abstract(vit.make(**OURS), parity.image())
  a, b = from_huggingface(state_dict, like), from_huggingface(renamed, like)
  assert parity.error(a, b) == 0


def test_gate_and_up_are_the_halves_of_one_tensor():
  table = {f'encoder/block_{{}}/mlp/{module}': 'fc1' for module in ('gate', 'up')}
  part_of = by_table(table, odd=_vit_names.odd(Sides({}), packed=True))(Sides({}))
  tensors = {'fc1.weight': np.arange(12.0).reshape(4, 3), 'fc1.bias': np.arange(4.0)}
  half = dict(kernel=np.zeros((3, 2)), bias=np.zeros(2))
  like = dict(params=dict(encoder=dict(block_0=dict(mlp=dict(gate=half, up=half)))))
  tree = assemble(like, tensors, part_of)
  mlp = tree['params']['encoder']['block_0']['mlp']
  np.testing.assert_array_equal(mlp['gate']['kernel'], [[0, 3], [1, 4], [2, 5]])
  np.testing.assert_array_equal(mlp['up']['kernel'], [[6, 9], [7, 10], [8, 11]])
  np.testing.assert_array_equal(mlp['up']['bias'], [2, 3])
  again = disassemble(tree, part_of)
  assert again.keys() == tensors.keys()
  for name, tensor in tensors.items():
    np.testing.assert_array_equal(again[name], tensor)
