"""Tiny ViTs of timm and Hugging Face and the words that make ours compute the same."""

from functools import cache, partial

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import timm.layers
from _helpers import parity
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from transformers import ViTConfig, ViTForImageClassification

from vitlab.pretrained import import_tensors

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
  'swiglu_packed': (
    dict(mlp_layer=timm.layers.SwiGLUPacked, act_layer='silu', mlp_ratio=8),
    dict(mlp='swiglu'),
  ),
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
