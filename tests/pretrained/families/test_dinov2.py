"""DINOv2 as Hugging Face, facebookresearch and timm name it: outputs, other sizes, and back."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from _helpers import parity, round_trips
from timm.models.vision_transformer import VisionTransformer
from transformers import (
  Dinov2Config,
  Dinov2ForImageClassification,
  Dinov2Model,
  Dinov2WithRegistersConfig,
  Dinov2WithRegistersForImageClassification,
  Dinov2WithRegistersModel,
)

from vitlab import pretrained, registry
from vitlab.errors import UserError
from vitlab.pretrained.files import write_safetensors
from vitlab.pretrained.preprocessing import Preprocessing

TINY = dict(
  image_size=35,
  patch_size=7,
  hidden_size=16,
  num_hidden_layers=2,
  num_attention_heads=2,
  num_labels=3,
)
REGISTERS = dict(num_register_tokens=3)
KINDS = {
  'bare': (Dinov2Model, Dinov2Config, {}),
  'classifier': (Dinov2ForImageClassification, Dinov2Config, {}),
  'gated': (Dinov2ForImageClassification, Dinov2Config, dict(use_swiglu_ffn=True)),
  'no_bias': (Dinov2Model, Dinov2Config, dict(qkv_bias=False, hidden_act='gelu_new')),
  'bare_registers': (Dinov2WithRegistersModel, Dinov2WithRegistersConfig, REGISTERS),
  'registers': (Dinov2WithRegistersForImageClassification, Dinov2WithRegistersConfig, REGISTERS),
  'gated_registers': (
    Dinov2WithRegistersForImageClassification,
    Dinov2WithRegistersConfig,
    dict(use_swiglu_ffn=True, layer_norm_eps=1e-3, num_register_tokens=1),
  ),
}


def saved(kind, folder, **words):
  """A model of Hugging Face with perturbed weights, float64, and where it lies."""
  model, config, options = KINDS[kind]
  module = parity.perturb(model(config(**TINY | options | words)))
  module.save_pretrained(folder)
  return module


def theirs(module, image):
  with torch.no_grad():
    result = module(torch.tensor(image.transpose(0, 3, 1, 2)))
  if isinstance(result, torch.Tensor):
    return result.numpy()
  return (result.logits if 'logits' in result else result.pooler_output).numpy()


def ours(folder, image):
  """Our logits or features in float64, and the variables."""
  weights = pretrained.read(str(folder))
  model = registry.make('models', weights.about.spec | dict(dtype='float64'))
  variables = weights.load({'params': parity.abstract(model, image)})
  return jax.jit(model.apply)(variables, jnp.asarray(image))[0], variables, weights


@pytest.mark.parametrize('kind', KINDS)
def test_equals_huggingface_at_its_size_and_at_others(kind, tmp_path, x64):
  module = saved(kind, tmp_path)
  for size, tolerance in (((35, 35), 1e-9), ((14, 14), 1e-6), ((35, 49), 1e-6)):
    image = parity.image((2, *size, 3))
    got, _, _ = ours(tmp_path, image)
    np.testing.assert_allclose(got, theirs(module, image), atol=tolerance, err_msg=str(size))


@pytest.mark.parametrize('kind', ['classifier', 'registers'])
def test_positions_of_37_by_37_at_224_pixels(kind, tmp_path, x64):
  module = saved(kind, tmp_path, image_size=518, patch_size=14, num_hidden_layers=1)
  image = parity.image((1, 224, 224, 3))
  got, _, weights = ours(tmp_path, image)
  np.testing.assert_allclose(got, theirs(module, image), atol=1e-6)
  assert weights.image_size == (518, 518)


def facebook(tensors, registers):
  """timm's tensors under the names of facebookresearch, and the oracle's positions for a grid."""
  named = {}
  for name, tensor in tensors.items():
    name = name.replace('reg_token', 'register_tokens')
    if any('fc1.weight' in n and len(t) == 8 * t.shape[1] for n, t in tensors.items()):
      name = name.replace('mlp.fc1', 'mlp.w12').replace('mlp.fc2', 'mlp.w3')
    named[name] = tensor.detach().numpy().copy()
  named['mask_token'] = np.ones((1, 64))
  if registers:
    class_token = np.random.default_rng(3).normal(size=(1, 1, 64))
    named['pos_embed'] = np.concatenate([class_token, named['pos_embed']], axis=1)
    named['cls_token'] = named['cls_token'] - class_token
  return named


@pytest.mark.parametrize('registers', [0, 2])
@pytest.mark.parametrize('gated', [False, True])
def test_equals_facebook_s_names_and_positions(registers, gated, tmp_path, x64):
  packed = dict(mlp_layer=timm.layers.SwiGLUPacked, act_layer='silu', mlp_ratio=8)
  options = dict(patch_size=7, embed_dim=64, depth=2, num_heads=1, num_classes=0, init_values=1)
  options |= dict(reg_tokens=registers, no_embed_class=bool(registers)) | (packed if gated else {})
  module = parity.perturb(VisionTransformer(img_size=35, **options))
  tensors = module.state_dict()
  write_safetensors(tmp_path / 'dino.safetensors', facebook(tensors, registers))
  for size in ((35, 35), (14, 49)):
    grid, prefix = (size[0] // 7, size[1] // 7), 0 if registers else 1
    table = tensors['pos_embed'][:, prefix:].reshape(1, 5, 5, 64).permute(0, 3, 1, 2).float()
    # What dinov2/models/vision_transformer.py asks for: without registers `interpolate_offset` 0.1.
    how = dict(scale_factor=tuple((n + 0.1) / 5 for n in grid))
    if registers:
      how = dict(size=grid, antialias=True)
    if size != (35, 35):
      table = F.interpolate(table, mode='bicubic', **how)
    new = table.flatten(2).permute(0, 2, 1).double()
    other = VisionTransformer(img_size=size, **options).double().eval()
    moved = {'pos_embed': torch.cat([tensors['pos_embed'][:, :prefix], new], 1)}
    if size == (35, 35):
      moved = {}
    other.load_state_dict({**tensors, **moved})
    image = parity.image((2, *size, 3))
    got, _, weights = ours(tmp_path / 'dino.safetensors', image)
    np.testing.assert_allclose(got, theirs(other, image), atol=1e-6, err_msg=str(size))
    assert (weights.family, weights.format) == ('vit', 'dinov2')
    pictures = Preprocessing((35, 35), 'crop', 0.875, library='timm')
    assert weights.about.preprocessing == pictures


def test_facebook_s_pictures_have_224_pixels(tmp_path):
  shapes = {'pos_embed': (1, 1370, 64), 'patch_embed.proj.weight': (64, 3, 14, 14)}
  about = pretrained.find_format('vit', 'dinov2').preprocessing({}, shapes)
  assert about == Preprocessing((224, 224), 'crop', 0.875)


@pytest.mark.parametrize('kind', KINDS)
def test_written_again_huggingface_computes_the_same_and_no_bit_is_lost(kind, tmp_path, x64):
  module = saved(kind, tmp_path / 'given')
  image = parity.image((2, 35, 35, 3))
  _, variables, weights = ours(tmp_path / 'given', image)
  pretrained.write(tmp_path / 'again', variables, weights.about, 'huggingface')
  written = KINDS[kind][0].from_pretrained(tmp_path / 'again', dtype=torch.float64)
  np.testing.assert_allclose(theirs(written, image), theirs(module, image), atol=1e-12)
  _, again, _ = ours(tmp_path / 'again', image)
  assert parity.error(again, variables) == 0


def test_a_dinov2_of_timm_with_one_tensor_for_gate_and_up(tmp_path, x64):
  model = timm.create_model(
    'vit_giant_patch14_dinov2', img_size=28, embed_dim=64, depth=1, num_heads=1, mlp_ratio=8
  )
  parity.perturb(model)
  config = dict(
    architecture='vit_giant_patch14_dinov2',
    num_classes=0,
    model_args=dict(img_size=28, embed_dim=64, depth=1, num_heads=1, mlp_ratio=8),
  )
  (tmp_path / 'config.json').write_text(json.dumps(config))
  tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
  write_safetensors(tmp_path / 'model.safetensors', tensors)
  image = parity.image((2, 28, 28, 3))
  got, variables, weights = ours(tmp_path, image)
  np.testing.assert_allclose(got, theirs(model, image), atol=1e-9)
  assert weights.about.preprocessing == Preprocessing((28, 28), 'crop', 0.875, library='timm')
  pretrained.write(tmp_path / 'again', variables, weights.about, 'timm')
  written = round_trips.theirs(tmp_path / 'again', 'timm').double()
  np.testing.assert_allclose(theirs(written, image), theirs(model, image), atol=1e-6)
  _, again, _ = ours(tmp_path / 'again', image)
  assert parity.error(again, variables) == 0


def test_heads_and_grids_that_dinov2_cannot_have_are_refused(tmp_path):
  tensors = VisionTransformer(embed_dim=48, depth=1, num_heads=1, init_values=1).state_dict()
  tensors = {name: tensor.numpy() for name, tensor in tensors.items()}
  write_safetensors(tmp_path / 'x.safetensors', tensors | {'mask_token': np.ones((1, 48))})
  with pytest.raises(UserError, match='heads of 64 numbers, which its width 48'):
    pretrained.read(str(tmp_path / 'x.safetensors'))
