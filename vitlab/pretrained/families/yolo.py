"""Weights of YOLOX as its authors publish them, which say their model by their tensors alone.

They are pickles, yolox_s.pth, and pickles are not read. Once, where torch is installed:

  import safetensors.torch, torch
  weights = torch.load('yolox_s.pth', map_location='cpu', weights_only=True)['model']
  safetensors.torch.save_file(weights, 'yolox_s.safetensors')

Their pictures are 0 to 255, blue first, on grey (114): here the first kernel is turned around, and
mean, std and fill say the rest.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from vitlab.errors import UserError
from vitlab.models.yolo import VARIANTS, Size
from vitlab.ops.positions import Grid
from vitlab.pretrained import layouts, specs
from vitlab.pretrained.assemble import Format, Part, PartOf, Shapes, Sides
from vitlab.pretrained.layouts import Shape
from vitlab.pretrained.preprocessing import Preprocessing
from vitlab.pretrained.rename import substituted
from vitlab.pretrained.tables import Seen, torch_layout, torch_leaf

KIND = 'detection'
# Regex in our names of modules -> theirs, in order; / stays in front of what is not yet theirs.
BODY = {rf'^body/stage_{i}/': f'backbone.backbone.dark{i + 2}/' for i in range(4)} | {
  r'^body/stem': 'backbone.backbone.stem',
}
PYRAMID = {
  f'^pyramid/{ours}/': f'backbone.{theirs}/'
  for ours, theirs in dict(
    reduce_0='lateral_conv0',
    mix_down_0='C3_p4',
    reduce_1='reduce_conv1',
    mix_down_1='C3_p3',
    halve_0='bu_conv2',
    mix_up_0='C3_n3',
    halve_1='bu_conv1',
    mix_up_1='C3_n4',
  ).items()
}
# On YOLOv3's body, whose stem has the first stage in it, and residual blocks other names.
OLD_BODY = {rf'^body/stage_{i}/': f'backbone.backbone.dark{i + 1}/' for i in range(1, 5)} | {
  r'^body/stem': 'backbone.backbone.stem.0',
  r'^body/stage_0/layers_0': 'backbone.backbone.stem.1',
  r'^body/stage_0/layers_1': 'backbone.backbone.stem.2',
  r'/reduce/': '/layer1/',
  r'/expand/': '/layer2/',
}
OLD_PYRAMID = {
  rf'^pyramid/{ours}_{i}/': f'backbone.out{i + 1}{theirs}/'
  for i in range(2)
  for ours, theirs in dict(reduce='_cbl', mix='').items()
}
HEADS = {
  rf'^{ours}': rf'head.{theirs}.\1'
  for ours, theirs in {
    r'towers_(\d)/stem': 'stems',
    r'towers_(\d)/class_branch': 'cls_convs',
    r'towers_(\d)/box_branch': 'reg_convs',
    r'class_head_(\d)': 'cls_preds',
    r'box_head_(\d)': 'reg_preds',
    r'objectness_head_(\d)': 'obj_preds',
  }.items()
}
LAYERS = {
  r'/blocks_(\d+)': r'.m.\1',
  r'/layers_(\d+)': r'.\1',
  r'/(enter|reduce)/': '.conv1/',
  r'/(bypass|expand|leave)/': '.conv2/',
  r'/merge/': '.conv3/',
  r'/depthwise/': '.dconv/',
  r'/pointwise/': '.pconv/',
  r'/norm$': '.bn',
  r'/': '.',
}
COLOURS = dict(mean=(0.0,), std=(1 / 255,), fill=(114,))
MOST = 64  # blocks of a stage
# What all of theirs have.
ONLY = dict(norm_epsilon=1e-3)


def _turned(kernel: np.ndarray) -> np.ndarray:
  """[y, x, i, o] with the colours of every pixel in i the other way round."""
  y, x, i, o = kernel.shape
  if i % 3:
    raise UserError(f'YOLOX sees 3 colours; this first kernel has {i} channels')
  return kernel.reshape(y, x, i // 3, 3, o)[:, :, :, ::-1].reshape(kernel.shape)


BLUE_FIRST = layouts.conv._replace(
  to_ours=lambda array, shape: _turned(layouts.conv.to_ours(array, shape)),
  to_theirs=lambda array: layouts.conv.to_theirs(_turned(array)),
)


def _is_old(names: Shapes) -> bool:
  """Whether these are names, ours or theirs, of a model on YOLOv3's body."""
  return any(re.match(r'backbone\.out1|\w+/pyramid/mix_0', name) for name in names)


def _part_of(sides: Sides) -> PartOf:
  """See `Format.part_of`."""
  old = _is_old(sides.theirs or sides.ours)
  table = (OLD_BODY | OLD_PYRAMID if old else BODY | PYRAMID) | HEADS | LAYERS

  def part_of(path: str, shape: Shape) -> Part:
    module, _, leaf = path.partition('/')[2].rpartition('/')
    layout = torch_layout(path, shape)
    if leaf == 'kernel' and 'head_' in module:
      layout = layouts.pointwise
    if leaf == 'kernel' and module.startswith('body/stem'):
      layout = BLUE_FIRST
    return Part((substituted(module, table) + torch_leaf(leaf),), layout)

  return part_of


def _spec(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
  """Our model spec: a published size, else its numbers beside the nearest of its kind."""
  del config
  seen = Seen(_part_of, shapes)
  if _is_old(shapes):
    near, stem = 'darknet53', 'body/stem/conv'
    blocks = [f'body/stage_{i}/layers_{{}}/expand/conv/kernel' for i in range(5)]
  else:
    depthwise = 'body/stage_0/layers_0/depthwise/conv/kernel' in seen
    near, stem = 'nano' if depthwise else 's', 'body/stem/conv/conv'
    # Of the last stage, pooling is in front of the blocks.
    places = [f'body/stage_{i}/layers_{1 + (i == 3)}' for i in range(4)]
    blocks = [f'{place}/blocks_{{}}/reduce/conv/kernel' for place in places]
  depths = tuple(sum(block.format(i) in seen for i in range(MOST)) for block in blocks)
  size = VARIANTS[near]._replace(width=seen[f'{stem}/kernel'][0], depths=depths)
  known = next((name for name, published in VARIANTS.items() if published == size), '')
  words = dict(variant=known) if known else dict(variant=near, width=size.width, depths=depths)
  return dict(name='yolo', num_classes=seen['class_head_0/kernel'][0], **words, **ONLY)


def _config(spec: Mapping[str, Any], image_size: Grid | None) -> dict[str, Any]:
  """What their tensors do not say; they have no such file."""
  words = specs.all_words(spec, VARIANTS)
  size = Size(*(words[field] for field in Size._fields))
  depth = size.depths[0]
  regular = (depth, 3 * depth, 3 * depth, depth), (1, 2, 8, 8, 4)
  specs.refuse(
    'YOLOX',
    **specs.differing(words, ONLY),
    depths=size.depths != regular[size.body == 'darknet'],
  )
  return dict(num_classes=words['num_classes'], image_size=list(image_size or (640, 640)))


def _preprocessing(config: Mapping[str, Any], shapes: Shapes) -> Preprocessing:
  """Grey below and to the right, 0 to 255; nano and tiny are published for smaller pictures."""
  small = shapes.get('backbone.backbone.stem.conv.conv.weight', (32,))[0] < 32
  return Preprocessing(
    image_size=(416, 416) if small else (640, 640),
    resize='fit',
    crop_fraction=1.0,
    interpolation='bilinear',
    **{key: tuple(config.get(key) or value) for key, value in COLOURS.items()},
  )


FORMATS = {
  'yolox': Format(
    _part_of,
    _spec,
    _config,
    ignored=r'.*\.num_batches_tracked$',
    head=r'head\.cls_preds\.',
    sign=r'backbone\.(C3_p4|out1)\.',
    preprocessing=_preprocessing,
  )
}
