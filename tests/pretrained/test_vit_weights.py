"""vitlab's ViT computes what timm's and Hugging Face's compute, with their weights."""

import re
from functools import cache, partial

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import timm.layers
import torch
from _helpers import parity
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from transformers import (
  DeiTConfig,
  DeiTForImageClassification,
  DeiTForImageClassificationWithTeacher,
  ViTConfig,
  ViTForImageClassification,
)

from vitlab.errors import UserError
from vitlab.layers.stack import unstack_blocks
from vitlab.models import vit
from vitlab.pretrained import export_tensors, import_tensors

TINY = dict(img_size=(16, 24), patch_size=(4, 8), embed_dim=16, depth=2, num_heads=2, num_classes=5)
OURS = dict(
  variant='mu', num_classes=5, patch_size=(4, 8), width=16, depth=2, num_heads=2, mlp_dim=64
)
AVG = dict(global_pool='avg')

# name -> (timm's options, ours)
CASES = {
  'original': ({}, {}),
  'deit3': (
    dict(init_values=1e-2, no_embed_class=True),
    dict(layer_scale=1e-2, position_embedding='learned_patches'),
  ),
  'registers': (dict(reg_tokens=3), dict(num_registers=3)),
  'registers_nowhere': (
    dict(reg_tokens=3, no_embed_class=True),
    dict(num_registers=3, position_embedding='learned_patches'),
  ),
  'qk_norm': (dict(qk_norm=True), dict(qk_norm=True)),
  'mean_then_norm': (AVG | dict(class_token=False), dict(pool='gap_norm')),
  'mean_then_norm_class_token': (
    AVG,
    dict(pool='gap_norm', class_token=True),
  ),
  'norm_then_mean': (AVG | dict(class_token=False, fc_norm=False), dict(pool='gap')),
  'map': (dict(global_pool='map', class_token=False), dict(pool='map')),
  'map_class_token': (
    dict(global_pool='map', reg_tokens=1),
    dict(pool='map', class_token=True, num_registers=1),
  ),
  'swiglu': (dict(mlp_layer=timm.layers.SwiGLU, act_layer='silu'), dict(mlp='swiglu')),
  'rmsnorm': (dict(norm_layer='rmsnorm'), dict(norm='rmsnorm')),
  'tanh': (dict(act_layer='gelu_tanh'), dict(mlp='gelu_tanh')),
  'distilled': ({}, dict(distillation_token=True)),
  'no_positions_no_bias': (
    dict(pos_embed='none', qkv_bias=False),
    dict(position_embedding='none', qkv_bias=False),
  ),
}


def load(state_dict, like, format='timm', **options):
  return import_tensors(state_dict, {'params': like}, 'vit', format, **options)['params']


from_timm = partial(load, format='timm')
from_huggingface = partial(load, format='huggingface')


@cache
def timm_oracle(case: str):
  kind = VisionTransformerDistilled if case == 'distilled' else VisionTransformer
  model = parity.perturb(kind(**TINY, **CASES[case][0]))
  return model.state_dict(), parity.oracle(model, model.blocks, parity.image())


def compare(model, state_dict, expected, load=from_timm) -> None:
  """Logits, every block and every gradient agree to 1e-9."""
  like = parity.abstract(model, parity.image())
  got = parity.ours(model, load(state_dict, like), parity.image())
  assert parity.error(got.logits, expected.logits) < 1e-9
  assert len(got.blocks) == len(expected.blocks) == 2
  assert parity.error(got.blocks, expected.blocks) < 1e-9
  assert parity.error(got.grads, load(expected.grads, like)) < 1e-9


@pytest.mark.parametrize('case', CASES)
def test_equals_timm(case, x64):
  state_dict, expected = timm_oracle(case)
  compare(
    vit.make(**OURS | dict(mlp='gelu', dtype='float64') | CASES[case][1]), state_dict, expected
  )


@pytest.mark.parametrize('options', [dict(scan=True), dict(remat='dots_saveable')])
def test_scan_and_remat_equal_timm(options, x64):
  state_dict, expected = timm_oracle('deit3')
  options |= CASES['deit3'][1]
  compare(vit.make(**OURS, mlp='gelu', dtype='float64', **options), state_dict, expected)


TRAPS = {
  'epsilon': ('original', dict(norm_epsilon=1e-5)),
  'epsilon_of_huggingface': ('original', dict(norm_epsilon=1e-12)),
  'gelu': ('original', dict(mlp='gelu_tanh')),
  'pooling_order': ('mean_then_norm', dict(pool='gap')),
}


@pytest.mark.parametrize('trap', TRAPS)
def test_a_wrong_option_would_be_seen(trap, x64):
  case, wrong = TRAPS[trap]
  state_dict, expected = timm_oracle(case)
  model = vit.make(**OURS | dict(mlp='gelu', dtype='float64') | CASES[case][1] | wrong)
  params = from_timm(state_dict, parity.abstract(model, parity.image()))
  logits, _ = jax.jit(model.apply)({'params': params}, jnp.asarray(parity.image()))
  assert parity.error(logits, expected.logits) > 1e-7


def test_a_class_token_without_its_position_would_be_seen(x64):
  state_dict, expected = timm_oracle('original')
  model = vit.make(**OURS, mlp='gelu', dtype='float64')
  params = from_timm(state_dict, parity.abstract(model, parity.image()))
  del params['position_embedding']['prefix']
  model = vit.make(**OURS, mlp='gelu', dtype='float64', position_embedding='learned_patches')
  logits, _ = jax.jit(model.apply)({'params': params}, jnp.asarray(parity.image()))
  assert parity.error(logits, expected.logits) > 1e-3


HUGGINGFACE = dict(
  image_size=(16, 24),
  patch_size=(4, 8),
  hidden_size=16,
  num_hidden_layers=2,
  num_labels=5,
  num_attention_heads=2,
  intermediate_size=64,
)


@cache
def huggingface_oracle(epsilon: float):
  config = ViTConfig(**HUGGINGFACE, layer_norm_eps=epsilon)
  model = parity.perturb(ViTForImageClassification(config))
  results = parity.oracle(model, model.vit.encoder.layer, parity.image(), lambda y: y.logits)
  return model.state_dict(), results


@pytest.mark.parametrize('epsilon', [1e-6, 1e-12])
def test_equals_huggingface(epsilon, x64):
  state_dict, expected = huggingface_oracle(epsilon)
  model = vit.make(**OURS, mlp='gelu', norm_epsilon=epsilon, dtype='float64')
  compare(model, state_dict, expected, from_huggingface)


@pytest.mark.parametrize(
  ('kind', 'options'),
  [
    (DeiTForImageClassificationWithTeacher, dict(distillation_token=True)),
    (DeiTForImageClassification, dict(num_registers=1)),  # whose head reads the class token only
  ],
)
def test_equals_deit_of_huggingface(kind, options, x64):
  model = parity.perturb(kind(DeiTConfig(**HUGGINGFACE)))
  blocks = model.deit.encoder.layer
  expected = parity.oracle(model, blocks, parity.image(), lambda y: y.logits)
  ours = vit.make(**OURS, mlp='gelu', norm_epsilon=1e-12, dtype='float64', **options)
  compare(ours, model.state_dict(), expected, from_huggingface)


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
  if format == 'timm':
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


def test_the_bare_model_of_huggingface_has_other_prefixes_and_a_pooler():
  state_dict, _ = huggingface_oracle(1e-6)
  bare = {k.removeprefix('vit.'): v for k, v in state_dict.items() if not k.startswith('class')}
  bare['pooler.dense.weight'] = torch.zeros(16, 16)
  like = parity.abstract(vit.make(**OURS | dict(num_classes=None)), parity.image())
  params = from_huggingface(bare, like)
  assert params['norm']['scale'].shape == (16,)


def test_every_misfit_is_named():
  state_dict = dict(timm_oracle('original')[0])
  del state_dict['blocks.1.norm1.bias']
  state_dict['head.weight'] = state_dict['head.weight'].T
  state_dict['extra'] = torch.zeros(3)
  like = parity.abstract(vit.make(**OURS), parity.image())
  with pytest.raises(UserError) as info:
    from_timm(state_dict, like)
  lines = str(info.value).splitlines()
  assert len(lines) == 3
  assert 'missing: blocks.1.norm1.bias' in lines[0]
  assert lines[1] == 'unused: extra'
  assert lines[2] == 'misshapen: head.weight (16, 5), needed (5, 16)'


def test_parameters_that_the_weights_do_not_have_are_named():
  state_dict, _ = timm_oracle('original')
  like = parity.abstract(vit.make(**OURS, layer_scale=0.1), parity.image())
  with pytest.raises(UserError, match=r'missing: .*blocks\.0\.ls1\.gamma'):
    from_timm(state_dict, like)


@pytest.mark.parametrize('size', [(16, 24), (24, 24), (32, 40), (8, 48)])
def test_positions_are_resampled_as_timm_does(size, x64):
  state_dict, _ = timm_oracle('original')  # learned on 4 × 3 patches
  model = vit.make(**OURS)
  like = parity.abstract(model, parity.image((1, *size, 3)))
  got = from_timm(state_dict, like, image_size=(16, 24))['position_embedding']
  new = (size[0] // 4, size[1] // 8)
  expected = timm.layers.resample_abs_pos_embed(state_dict['pos_embed'], new, (4, 3))[0]
  np.testing.assert_allclose(got['prefix'], expected[:1], atol=1e-12)
  # timm interpolates in float32
  np.testing.assert_allclose(got['grid'].reshape(-1, 16), expected[1:], atol=1e-6)


def test_a_square_grid_is_found_and_an_unclear_one_asked_for():
  options = TINY | dict(img_size=16, patch_size=4)
  state_dict = VisionTransformer(**options).state_dict()
  model = vit.make(**OURS | dict(patch_size=4))
  like = parity.abstract(model, parity.image((1, 16, 24, 3)))
  assert from_timm(state_dict, like)['position_embedding']['grid'].shape == (4, 6, 16)
  like = parity.abstract(model, parity.image((1, 8, 32, 3)))  # 16 patches too, but 2 × 8
  with pytest.raises(UserError, match='16 patches, the model has 2×8'):
    from_timm(state_dict, like)


def test_other_number_types_become_the_model_s():
  state_dict = {k: v.bfloat16() for k, v in timm_oracle('original')[0].items()}
  model = vit.make(**OURS, scan=True)
  like = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 16, 24, 3)))['params']
  params = from_timm(state_dict, like)
  assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype('float32')}
  kernel = unstack_blocks(params)['encoder']['block_1']['mlp']['up']['kernel']
  expected = state_dict['blocks.1.mlp.fc1.weight'].float().numpy().T
  np.testing.assert_array_equal(kernel, expected)
