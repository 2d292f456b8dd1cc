"""Every parameter of every model has the role that the rules before `vitlab.names` gave it."""

import functools
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_configs import ARGUMENTS, CONFIGS, WEIGHTS, example, load

from vitlab import names, registry
from vitlab.layers.attention import CosineAttention, CrossAttention, SelfAttention
from vitlab.layers.dense import Dense
from vitlab.layers.lsh_attention import LocalAttention, LSHAttention
from vitlab.layers.mlp import GatedMlp, Mlp
from vitlab.layers.relative_attention import RelativeAttention
from vitlab.layers.two_stream_attention import TwoStreamAttention
from vitlab.train import optim, setup

PARALLEL = (
  SelfAttention,
  CosineAttention,
  CrossAttention,
  Mlp,
  GatedMlp,
  LSHAttention,
  LocalAttention,
  RelativeAttention,
  TwoStreamAttention,
)
VIT = dict(name='vit', variant='mu/4', num_classes=10)
SWIN = dict(name='swin', patch_size=2, num_classes=10)
TEXT = dict(name='transformer', variant='mu', vocab_size=10)
# What no config has.
OTHERS = {
  'stacked': VIT | dict(scan=True, mlp='swiglu', num_registers=4),
  'distilled': VIT | dict(distillation_token=True, qk_norm=True),
  'map': VIT | dict(pool='map', scan=True),
  'hybrid': VIT | dict(backbone=dict(name='resnet', variant='mu', stem='small')),
  'swin_v2': SWIN | dict(variant='V2-mu', depths=(2, 2), num_heads=(2, 2), scan=True),
  'tnt': dict(name='tnt', variant='mu', patch_size=4, inner_stride=1, num_classes=10, scan=True),
  'cnn': dict(name='cnn', variant='mu', num_classes=10),
  'bit': dict(name='resnet', variant='mu', num_classes=10, norm='groupnorm', num_groups=4),
  'learned': TEXT | dict(position_embedding='learned', tied=False, scan=True),
  'gpt': dict(name='gpt', variant='mu', vocab_size=10),
  'reformer': dict(name='reformer', variant='mu', vocab_size=10, axial_shape=(2, 512))
  | dict(attn_layers=('lsh', 'local'), mlp='swiglu'),
  'gpt_grouped': dict(name='gpt', variant='mu', vocab_size=10, num_kv_heads=1, scan=True)
  | dict(tied=False, qk_norm=True, mlp='swiglu', position_embedding='rope'),
}
EMBEDDING = re.compile(
  r'(^|/)(\w*embed\w*|\w*_token|registers)(/|$)'
  r'|^((backbone/)?stem|patch_norm|pixel_position|projection)/'
)
BLOCK = re.compile(r'((^|.*/)stage_(?P<stage>\d+)/|^|.*?/)(blocks|block_(?P<block>\d+))/')
SPLIT = (
  (r'(^|/)(q|k|v|r|kv|qkv)/(kernel|bias)$', -2),
  (r'(attention|cross)/out/kernel$', -3),
  (r'mlp/(up|gate)/(kernel|bias)$', -1),
  (r'mlp/down/kernel$', -2),
)


def split_axis(name):
  return next((axis for regex, axis in SPLIT if re.search(regex, name)), None)


def matrix(name, ndim):
  axes = tuple(range(int('blocks' in name.split('/')), ndim))
  other = EMBEDDING.search(name) or re.search(r'(^|/)(stem|\w*head\w*)/', name)
  if not name.endswith('kernel') or len(axes) < 2 or other:
    return None
  if re.search(r'(^|/)(q|k|v|r|kv|qkv)/kernel$', name) and len(axes) > 2:
    return axes[:1], axes[-2:]
  if re.search(r'(^|/)(hidden|context|\w*input)/kernel$', name):
    return axes[:1], axes[-1:]
  return axes[:-1], axes[-1:]


def layers(shapes):
  """Layer per name, and how many blocks; None of a model without them or with several stacks."""
  blocks, stacks, depths = {}, set(), {}
  for name, leaf in shapes.items():
    if match := BLOCK.match(name):
      stacks.add((match[2] if match['stage'] else match[1]).rstrip('/'))
      number = range(leaf.shape[0]) if match['block'] is None else [int(match['block'])]
      stage = int(match['stage'] or 0)
      blocks[name] = stage, list(number)
      depths[stage] = max(depths.get(stage, 0), number[-1] + 1)
  if len(stacks) != 1:
    return None
  before = {stage: sum(n for other, n in depths.items() if other < stage) for stage in depths}
  found = {name: [before[s] + n + 1 for n in numbers] for name, (s, numbers) in blocks.items()}
  for name in shapes.keys() - blocks.keys():
    merging = re.match(r'(.*/)?merging_(\d+)/', name)
    layer = before[int(merging[2])] + 1 if merging else sum(depths.values()) + 1
    found[name] = [0 if EMBEDDING.search(name) else layer]
  return found, sum(depths.values())


@functools.cache
def built(which):
  """The parameters of all players, and every dense layer's path with its parent."""
  dense = {}

  def note(call, args, kwargs, context):
    if isinstance(context.module, Dense):
      dense['/'.join(context.module.path)] = context.module.parent
    return call(*args, **kwargs)

  with nn.intercept_methods(note):
    variables = jax.eval_shape(*initialiser(which))
  return {player: names.flatten(tree['params']) for player, tree in variables.items()}, dense


def initialiser(which):
  if which in OTHERS:
    model = registry.make('models', OTHERS[which])
    text = [jnp.zeros((2, 7), 'i')]
    of_model = dict(transformer=text * 2, gpt=text, reformer=text)
    inputs = of_model.get(OTHERS[which]['name'], [jnp.zeros((2, 32, 32, 3), 'f')])
    return lambda key: {'model': model.init(key, *inputs)}, jax.random.key(0)
  path = next(path for path in CONFIGS if path.stem == which)
  config = load(path, ARGUMENTS.get(which, ''))
  with config.unlocked():
    config.update_from_flattened_dict(WEIGHTS.get(which, {}))
  facts, batch = example(config)
  return setup.make_task(config, facts).init, jax.random.key(0), batch


MODELS = [path.stem for path in CONFIGS] + list(OTHERS)


@pytest.mark.parametrize('which', MODELS)
def test_every_parameter_has_the_matrices_and_the_axis_to_split_that_it_had(which):
  for shapes in built(which)[0].values():
    for name, leaf in shapes.items():
      assert names.matrix_axes(name, leaf.ndim) == matrix(name, leaf.ndim), name
      assert names.tensor_parallel_axis(name) == split_axis(name), name


@pytest.mark.parametrize('which', MODELS)
def test_every_parameter_has_the_layer_that_it_had(which):
  for shapes in built(which)[0].values():
    expected = layers(shapes)
    if expected is None:
      with pytest.raises(optim.UserError, match='needs one stack'):
        optim._layers(shapes)
      continue
    found, depth = optim._layers(shapes)
    assert found.keys() == expected[0].keys()
    assert ({name: np.ravel(layer).tolist() for name, layer in found.items()}, depth) == expected


@pytest.mark.parametrize('which', MODELS)
def test_dense_layers_of_attention_and_mlp_are_split_by_name_and_no_others(which):
  dense = built(which)[1]
  # Of two tables, and of layers that are divided by their norms.
  assert dense or which == 'word2vec_text' or which.startswith('sagan')
  for path, parent in dense.items():
    axis = names.tensor_parallel_axis(f'{path}/kernel')
    assert (axis is not None) == isinstance(parent, PARALLEL), path
