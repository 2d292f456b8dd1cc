"""vitlab's TNT computes what timm's computes, with its weights; every trap would be seen."""

from functools import cache

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import timm
import timm.layers
import torch
from _helpers import parity, published, round_trips
from timm.models.tnt import TNT, checkpoint_filter_fn

from vitlab.errors import UserError
from vitlab.layers.conv import Conv
from vitlab.layers.embeddings import cut_patches
from vitlab.models import tnt
from vitlab.pretrained import find_format, import_tensors

TINY = dict(
  img_size=(8, 12),
  patch_size=(4, 6),
  first_stride=2,
  embed_dim=12,
  inner_dim=8,
  depth=2,
  num_heads_inner=2,
  num_heads_outer=3,
  mlp_ratio=2.0,
  num_classes=5,
)
OURS = dict(
  variant='mu',
  num_classes=5,
  patch_size=(4, 6),
  inner_stride=2,
  width=12,
  depth=2,
  num_heads=3,
  mlp_dim=24,
  inner_width=8,
  inner_num_heads=2,
)
PICTURE = parity.image((2, 8, 12, 3))
# name -> (timm's options, ours)
CASES = {
  'original': ({}, {}),
  'mean_and_biases': (
    dict(global_pool='avg', qkv_bias=True),
    dict(pool='gap', qkv_bias=True, scan=True),
  ),
}


@cache
def oracle(case: str):
  model = parity.perturb(TNT(**TINY, **CASES[case][0]))
  blocks = []
  for block in model.blocks:
    block.register_forward_hook(lambda _, __, y: blocks.append([x.detach().numpy() for x in y]))
  results = parity.oracle(model, [], PICTURE)
  return model.state_dict(), results._replace(blocks=blocks)


def make(case: str = 'original', **options):
  return tnt.make(**OURS | dict(dtype='float64') | CASES[case][1] | options)


def load(tensors, model, **options):
  like = {'params': parity.abstract(model, PICTURE)}
  return import_tensors(tensors, like, 'tnt', 'timm', **options)['params']


def run(model, params):
  """Logits, (pixels, tokens) of every block, and gradients."""

  @jax.jit
  def compute(params):
    def functional(params):
      logits, out = model.apply({'params': params}, jnp.asarray(PICTURE))
      b, g, p, c = out['pixels'].shape
      blocks = [[x['pixels'].reshape(b * g, p, c), x['tokens']] for x in out['blocks']]
      return (logits * parity.projection(logits.shape)).sum(), (logits, blocks)

    (_, aux), grads = jax.value_and_grad(functional, has_aux=True)(params)
    return *aux, grads

  return parity.Results(*compute(params))


@pytest.mark.parametrize('case', CASES)
def test_equals_timm(case, x64):
  """Logits, pixels and patches of every block, and every gradient."""
  tensors, expected = oracle(case)
  model = make(case)
  got = run(model, load(tensors, model))
  assert parity.error(got.logits, expected.logits) < 1e-9
  assert len(got.blocks) == len(expected.blocks) == 2
  assert parity.error(got.blocks, expected.blocks) < 1e-9
  assert parity.error(got.grads, load(expected.grads, model)) < 1e-9


def logits(model, params):
  return jax.jit(lambda params: model.apply({'params': params}, jnp.asarray(PICTURE))[0])(params)


class ConvolvedFirst(tnt.PixelEmbed):
  """What timm calls legacy: pixels see over the edge of their patch."""

  @nn.compact
  def __call__(self, image):
    conv = Conv(self.width, 7, self.stride, use_bias=True, dtype=self.dtype)
    nn.share_scope(self, conv)
    pixels = conv(image)
    return cut_patches(pixels, tuple(side // self.stride for side in self.patch_size))


class PixelsTooEarly(tnt.TNTBlock):
  """Patches hear their pixels before the inner block has mixed those."""

  def __call__(self, x, train=False, drop_path_rate=None):
    before, tokens = x
    (after, _), out = super().__call__(x)
    tokens, _ = self.outer(tokens.at[:, 1:].add(self.projection(before)))
    return (after, tokens), out


class PixelsAfterwards(tnt.TNTBlock):
  """The outer block comes before the pixels are added."""

  def __call__(self, x, train=False, drop_path_rate=None):
    (after, _), out = super().__call__(x)
    tokens, _ = self.outer(x[1])
    return (after, tokens.at[:, 1:].add(self.projection(after))), out


class ClassHearsPixels(tnt.TNTBlock):
  """The class token receives the mean of what the patches do."""

  def __call__(self, x, train=False, drop_path_rate=None):
    (after, _), out = super().__call__(x)
    said = self.projection(after)
    said = jnp.concatenate([said.mean(1, keepdims=True), said], axis=1)
    return (after, self.outer(x[1] + said)[0]), out


def embed_by(kind):
  def change(model):
    embed = model.pixel_embed
    other = kind(embed.width, embed.patch_size, embed.stride, embed.dtype)
    return model.clone(pixel_embed=other)

  return change


def stack_of(kind):
  def change(model):
    block = model.encoder.block
    other = kind(block.inner, block.projection, block.outer)
    return model.clone(encoder=model.encoder.clone(block=other))

  return change


TRAPS = {
  'epsilon 1e-6': lambda _: make(norm_epsilon=1e-6),
  'tanh GELU': lambda _: make(mlp='gelu_tanh'),
  'mean of the patches': lambda _: make(pool='gap'),
  'convolution before the cut': embed_by(ConvolvedFirst),
  'pixels before the inner block': stack_of(PixelsTooEarly),
  'pixels after the outer block': stack_of(PixelsAfterwards),
  'pixels into the class token': stack_of(ClassHearsPixels),
}


@pytest.mark.parametrize('trap', TRAPS)
def test_a_trap_would_be_seen(trap, x64):
  tensors, expected = oracle('original')
  model = TRAPS[trap](make())
  assert parity.error(logits(model, load(tensors, model)), expected.logits) > 1e-7


def test_the_mutants_are_the_model_but_for_their_mutation(x64):
  """Without one, the ways to make a mutant change nothing."""
  tensors, expected = oracle('original')
  for change in (embed_by(tnt.PixelEmbed), stack_of(tnt.TNTBlock)):
    model = change(make())
    assert parity.error(logits(model, load(tensors, model)), expected.logits) < 1e-9


def test_keys_before_queries_would_be_seen(x64):
  tensors, expected = oracle('original')
  swapped = {
    name: torch.cat(tensor.chunk(2)[::-1]) if name.endswith('.qk.weight') else tensor
    for name, tensor in tensors.items()
  }
  assert parity.error(logits(make(), load(swapped, make())), expected.logits) > 1e-3


AUTHORS = {
  'patch_pos': 'outer_pos',
  'pixel_pos': 'inner_pos',
  'pixel_embed': 'patch_embed',
  'norm1_proj': 'proj_norm1',
  'norm2_proj': 'proj_norm2',
  'norm_in': 'inner_norm1',
  'attn_in': 'inner_attn',
  'norm_mlp_in': 'inner_norm2',
  'mlp_in': 'inner_mlp',
  'norm_out': 'outer_norm1',
  'attn_out': 'outer_attn',
  'norm_mlp': 'outer_norm2',
  'mlp': 'outer_mlp',
}


def test_reads_the_names_of_the_authors(x64):
  model = TNT(**TINY | dict(patch_size=4))
  tensors = {k: v.clone() for k, v in parity.perturb(model).state_dict().items()}
  theirs = {'.'.join(AUTHORS.get(x, x) for x in k.split('.')): v for k, v in tensors.items()}
  theirs['inner_pos'] = theirs['inner_pos'].flatten(2).transpose(1, 2)
  theirs['outer_tokens'] = torch.zeros(1, 6, 12)
  filtered = checkpoint_filter_fn(dict(theirs), model)
  assert all(torch.equal(filtered[name], tensor) for name, tensor in tensors.items())

  ours = make(patch_size=4)
  assert parity.error(load(theirs, ours), load(tensors, ours)) == 0
  spec = find_format('tnt', 'timm').spec
  args = dict(model_args=dict(num_heads_outer=3, num_heads_inner=2, first_stride=2))
  shapes = [{k: tuple(v.shape) for k, v in weights.items()} for weights in (theirs, tensors)]
  assert spec(args, shapes[0]) == spec(args, shapes[1])


@pytest.mark.parametrize('size', [(8, 12), (16, 18)])
def test_positions_are_resampled_as_timm_does(size, x64):
  model = TNT(**TINY | dict(img_size=(12, 30)))  # 3 × 5 patches
  tensors = parity.perturb(model).state_dict()
  like = parity.abstract(make(), parity.image((1, *size, 3)))
  options = dict(spec=dict(name='tnt', **OURS), image_size=(12, 30))
  params = import_tensors(tensors, {'params': like}, 'tnt', 'timm', **options)['params']
  new = (size[0] // 4, size[1] // 6)
  expected = timm.layers.resample_abs_pos_embed(tensors['patch_pos'], new, (3, 5))[0]
  got = params['position_embedding']
  np.testing.assert_allclose(got['prefix'], expected[:1], atol=1e-12)
  # timm interpolates in float32
  np.testing.assert_allclose(got['grid'].reshape(-1, 12), expected[1:], atol=1e-6)


def test_there_and_back_with_config_and_bits(tmp_path):
  model = timm.create_model('tnt_s_patch16_224', **TINY)
  parity.perturb(model).float()
  source = published.save_timm(tmp_path / 'timm', model)
  picture = PICTURE.astype(np.float32)
  round_trips.check(source, published.logits(model, picture), 'timm', picture, tmp_path / 'ours')


@pytest.mark.parametrize('variant', ['S', 'B'])
def test_a_published_size_is_known_by_its_shapes(variant):
  with torch.device('meta'):
    theirs = timm.create_model(f'tnt_{variant.lower()}_patch16_224')
  shapes = {name: tuple(tensor.shape) for name, tensor in theirs.state_dict().items()}
  spec = find_format('tnt', 'timm').spec({}, shapes)
  common = dict(num_classes=1000, patch_size=16, inner_stride=4, pool='cls', mlp='gelu')
  common |= dict(norm='layernorm', norm_epsilon=1e-5, qkv_bias=False)
  assert spec == dict(name='tnt', variant=variant, **common)
  config = find_format('tnt', 'timm').config(spec, (224, 224))
  assert config['architecture'] == f'tnt_{variant.lower()}_patch16_224'


def test_what_vitlab_does_not_have_is_said():
  table = find_format('tnt', 'timm')
  shapes = {k: tuple(v.shape) for k, v in TNT(**TINY, legacy=True).state_dict().items()}
  with pytest.raises(UserError, match='legacy TNT, which convolves the whole image'):
    table.spec({}, shapes)
  shapes = {k: tuple(v.shape) for k, v in oracle('original')[0].items()}
  with pytest.raises(UserError, match='how many heads a TNT of widths 12 and 8 has'):
    table.spec({}, shapes)
  with pytest.raises(UserError, match='cannot say this mlp'):
    table.config(dict(name='tnt', **OURS, mlp='gelu_tanh'), (8, 12))
