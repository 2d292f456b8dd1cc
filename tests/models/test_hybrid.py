"""A ViT on a ResNet, nested by the config, is the hybrid of the paper and of timm."""

from functools import partial

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
from _helpers import parity
from flax.traverse_util import flatten_dict, unflatten_dict
from timm.layers import StdConv2dSame
from timm.models.resnetv2 import ResNetV2
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_hybrid import HybridEmbed

from vitlab import registry
from vitlab.pretrained import import_tensors

# ResNetV2 without pre-activation is version 1.5; group norm wants 32 channels everywhere.
RESNET = dict(
  name='resnet', norm='groupnorm', weight_standardization=True, padding='same', block='bottleneck'
)
TINY = dict(
  name='vit',
  variant='mu/1',
  num_classes=5,
  width=16,
  num_heads=2,
  mlp_dim=64,
  mlp='gelu',
  dtype='float64',
  backbone=RESNET | dict(variant='mu', depths=(1, 2), width=32, dtype='float64'),
)
SHAPE = (2, 16, 24, 3)


def test_the_paper_s_hybrid_at_full_size():
  """R50+ViT-B/16: three stages, the third as long as a ResNet-50's two last ones together."""
  backbone = RESNET | dict(variant='50', depths=(3, 4, 9))
  model = registry.make(
    'models', dict(name='vit', variant='B/1', num_classes=1000, backbone=backbone)
  )
  image = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
  params = jax.eval_shape(model.init, jax.random.key(0), image)['params']
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 98_659_112  # timm's


def oracle():
  resnet = ResNetV2(
    layers=[1, 2],
    channels=(128, 256),
    stem_chs=32,
    num_classes=0,
    global_pool='',
    preact=False,
    stem_type='same',
    conv_layer=partial(StdConv2dSame, eps=1e-6),
  )
  model = parity.perturb(
    VisionTransformer(
      img_size=SHAPE[1:3],
      patch_size=1,
      embed_dim=16,
      depth=1,
      num_heads=2,
      num_classes=5,
      embed_layer=partial(HybridEmbed, backbone=resnet),
    )
  )
  return model.state_dict(), parity.oracle(model, model.blocks, parity.image(SHAPE))


def load(tensors, like):
  """The ViT by the public importer, the ResNet by the names of timm's ResNetV2."""
  prefix = 'patch_embed.backbone.'
  rest = {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}
  params = {name: tree for name, tree in like.items() if name != 'backbone'}
  params = import_tensors(rest, {'params': params}, 'vit', 'timm')['params']
  backbone = {}
  for path, leaf in flatten_dict(like['backbone'], sep='/').items():
    name = path.replace('stage_', 'stages.').replace('block_', 'blocks.').replace('/', '.')
    name = name.replace('conv_shortcut', 'downsample.conv').replace(
      'norm_shortcut', 'downsample.norm'
    )
    name = prefix + name.replace('.kernel', '.weight').replace('.scale', '.weight')
    array = tensors[name].detach().numpy()
    backbone[path] = jnp.asarray(array.transpose(2, 3, 1, 0) if array.ndim == 4 else array)
    assert backbone[path].shape == leaf.shape
  return params | {'backbone': unflatten_dict(backbone, sep='/')}


def test_equals_timm(x64):
  tensors, expected = oracle()
  model = registry.make('models', TINY)
  like = parity.abstract(model, parity.image(SHAPE))
  got = parity.ours(model, load(tensors, like), parity.image(SHAPE))
  assert parity.error(got.logits, expected.logits) < 1e-9
  assert parity.error(got.blocks, expected.blocks) < 1e-9
  assert parity.error(got.grads, load(expected.grads, like)) < 1e-9
