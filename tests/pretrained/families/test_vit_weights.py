"""vitlab's ViT computes what timm's and Hugging Face's compute, with their weights."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import timm.layers
import torch
from _helpers import parity
from _helpers.vits import (
  CASES,
  HUGGINGFACE,
  OURS,
  TINY,
  from_huggingface,
  from_timm,
  huggingface_oracle,
  timm_oracle,
)
from timm.models.vision_transformer import VisionTransformer
from transformers import (
  DeiTConfig,
  DeiTForImageClassification,
  DeiTForImageClassificationWithTeacher,
)

from vitlab.errors import UserError
from vitlab.layers.stack import unstack_blocks
from vitlab.models import vit


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
