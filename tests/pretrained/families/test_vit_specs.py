"""The model is inferred from what others wrote: compared with the models that they build."""

import re

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import pytest
import timm
import torch
from _helpers import published

from vitlab import registry
from vitlab.errors import UserError
from vitlab.pretrained import import_tensors
from vitlab.pretrained.families import _vit_specs as specs

ARCHITECTURES = (
  'vit_tiny_patch16_224',
  'vit_small_patch32_224',
  'deit3_medium_patch16_224',
  'deit_tiny_distilled_patch16_224',
  'vit_base_patch16_gap_224',  # 16 heads where all others of its width have 12
  'vit_wee_patch16_reg1_gap_256',
  'vit_small_patch14_reg4_dinov2',
  'vit_base_patch32_siglip_256',  # tanh GELU
)


@pytest.mark.parametrize('name', ARCHITECTURES)
def test_timm_architectures_are_inferred(name):
  with torch.device('meta'):
    theirs = timm.create_model(name)
  config = dict(architecture=name, num_classes=theirs.num_classes, global_pool=theirs.global_pool)
  config['pretrained_cfg'] = dict(input_size=theirs.pretrained_cfg['input_size'])
  tensors = {key: jnp.broadcast_to(0.0, t.shape) for key, t in theirs.state_dict().items()}
  spec = specs.from_timm(config, {key: t.shape for key, t in tensors.items()})
  ours = registry.make('models', spec)
  size = theirs.pretrained_cfg['input_size'][1:]
  image = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
  like = jax.eval_shape(ours.init, jax.random.key(0), image)
  import_tensors(tensors, like, 'vit', 'timm', spec=spec, image_size=size)  # nothing is left
  block = theirs.blocks[0]
  assert ours.encoder.block.attention.num_heads == block.attn.num_heads
  assert spec['norm_epsilon'] == block.norm1.eps
  assert spec['mlp'] == ('gelu_tanh' if 'Tanh' in type(block.mlp.act).__name__ else 'gelu')
  pools = {'token': 'cls', 'map': 'map', 'avg': 'gap_norm'}
  unnormed = theirs.global_pool == 'avg' and isinstance(theirs.fc_norm, torch.nn.Identity)
  assert spec['pool'] == ('gap' if unnormed else pools[theirs.global_pool])


def shapes(module):
  return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize(
  ('name', 'reason'),
  [
    ('vit_base_patch16_clip_224', 'vit_base_patch16_clip_224 is no ViT that vitlab computes'),
    ('vit_base_patch16_rpn_224', 'no ViT that vitlab computes'),
  ],
)
def test_what_has_the_names_of_a_vit_and_computes_something_else_is_refused(name, reason):
  with pytest.raises(UserError, match=reason):
    specs.from_timm({'architecture': name}, shapes(published.timm_vit()))


def test_heads_that_nobody_says_are_asked_for():
  with pytest.raises(UserError, match=r'how many heads a ViT of width 16 has\n.*num_heads'):
    specs.from_timm({}, shapes(published.timm_vit()))


def test_huggingface_says_heads_in_its_config_only():
  with pytest.raises(UserError, match=r'config\.json: put it beside'):
    specs.from_huggingface({}, shapes(published.huggingface_vit()))


def test_huggingface_config_there_and_back():
  model = published.huggingface_vit()
  config = model.config.to_dict() | {'architectures': ['ViTForImageClassification']}
  spec = specs.from_huggingface(config, shapes(model))
  assert spec['norm_epsilon'] == 1e-12
  again = specs.to_huggingface(spec, (32, 32))
  assert again == {key: config[key] for key in again}


def test_activations_are_translated_or_refused():
  model = published.huggingface_vit()
  config = model.config.to_dict() | {'hidden_act': 'gelu_new'}
  assert specs.from_huggingface(config, shapes(model))['mlp'] == 'gelu_tanh'
  with pytest.raises(UserError, match="unknown hidden_act of Hugging Face 'selu'"):
    specs.from_huggingface(config | {'hidden_act': 'selu'}, shapes(model))


@pytest.mark.parametrize(
  ('write', 'words', 'named'),
  [
    (specs.to_timm, dict(position_embedding='rope_2d'), 'positions'),
    (specs.to_timm, dict(norm_epsilon=1e-12), 'norm_epsilon'),
    (specs.to_huggingface, dict(pool='gap'), 'pool'),
    (specs.to_huggingface, dict(num_registers=2, layer_scale=0.1), 'num_registers, layer_scale'),
  ],
)
def test_what_they_cannot_compute_is_named(write, words, named):
  spec = dict(name='vit', variant='mu/8', num_classes=2, mlp='gelu') | words
  with pytest.raises(UserError, match=re.escape(f'cannot say this {named}\n')):
    write(spec, (32, 32))
