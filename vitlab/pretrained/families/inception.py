"""Weights of Inception v3: torchvision's and timm's, and those that FID is defined by.

They have the same names. FID's, of pytorch-fid (pt_inception-2015-12-05-6726825d.pth) and of
torch-fidelity (weights-inception-2015-12-05-6726825d.pth), are known by their 1008 classes, and
need another network: `vitlab.models.inception`. All are pickles, and pickles are not read. Once,
where torch is installed:

  import safetensors.torch, torch
  path = 'pt_inception-2015-12-05-6726825d.pth'
  weights = torch.load(path, map_location='cpu', weights_only=True)
  safetensors.torch.save_file(weights, 'inception_fid.safetensors')

FID's pixels are (x - 128) / 128, as TensorFlow's graph, torch-fidelity and clean-fid have them;
pytorch-fid's are x / 127.5 - 1. Features of the two differ. The classifier in the middle
(AuxLogits), which acts in training alone, is not read.
"""

import re
from collections.abc import Mapping
from typing import Any

from vitlab.ops.positions import Grid
from vitlab.pretrained import keys, specs
from vitlab.pretrained.assemble import Format, Part, PartOf, Shapes, Sides
from vitlab.pretrained.layouts import Shape
from vitlab.pretrained.preprocessing import INCEPTION, Preprocessing
from vitlab.pretrained.tables import torch_layout, torch_leaf

KIND = 'classification'
FID_CLASSES = 1008
# Of a branch, by the place of its convolutions behind it.
STEM = {0: '1a_3x3', 1: '2a_3x3', 2: '2b_3x3', 4: '3b_1x1', 5: '4a_3x3'}
NARROW, HALVE_35 = ('1x1', '5x5', '3x3dbl', '_pool'), ('3x3', '3x3dbl')
APART, HALVE_17 = ('1x1', '7x7', '7x7dbl', '_pool'), ('3x3', '7x7x3')
WIDE = ('1x1', '3x3', '3x3dbl', '_pool')
# Of the blocks: their letter, and their branches.
BLOCKS = (
  *(('5b', NARROW), ('5c', NARROW), ('5d', NARROW), ('6a', HALVE_35)),
  *(('6b', APART), ('6c', APART), ('6d', APART), ('6e', APART), ('7a', HALVE_17)),
  *(('7b', WIDE), ('7c', WIDE)),
)


def _theirs(place: str, *inside: str) -> str:
  """Our convolution with its norm, as the modules that it lies in -> theirs."""
  numbers = [int(module.rpartition('_')[2]) for module in inside]
  if place == 'stem':
    return f'Conv2d_{STEM[numbers[0]]}'
  letter, branches = BLOCKS[int(place.removeprefix('block_'))]
  branch = branches[numbers[0]]
  if len(numbers) == 1 or branch == '_pool':  # there is only one
    return f'Mixed_{letter}.branch{branch}'
  side = 'ab'[numbers[2]] if len(numbers) > 2 else ''  # of a row and a column
  return f'Mixed_{letter}.branch{branch}_{numbers[1] + 1}{side}'


def _part_of(sides: Sides) -> PartOf:
  """See `Format.part_of`."""
  del sides

  def part_of(path: str, shape: Shape) -> Part | None:
    module, _, leaf = path.partition('/')[2].rpartition('/')
    found = re.fullmatch(r'((?:stem|block_\d+)(?:/(?:layers|branches)_\d)+)/(conv|norm)', module)
    if not found and module != 'head':
      return None
    part = dict(conv='conv', norm='bn')
    name = f'{_theirs(*found[1].split("/"))}.{part[found[2]]}' if found else 'fc'
    return Part((name + torch_leaf(leaf),), torch_layout(path, shape))

  return part_of


def _is_fid(shapes: Shapes) -> bool:
  return shapes['fc.weight'][0] == FID_CLASSES


def _spec(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
  """Our model spec."""
  del config
  variant = 'fid' if _is_fid(shapes) else 'v3'
  return dict(name='inception', variant=variant, num_classes=shapes['fc.weight'][0])


def _config(spec: Mapping[str, Any], image_size: Grid) -> dict[str, Any]:
  """timm's config.json."""
  del image_size
  words = specs.all_words(spec)
  classes = words['num_classes']
  specs.refuse(
    'timm',
    variant=words['variant'] != 'v3',
    norm_epsilon=words['norm_epsilon'] != 1e-3,
    num_classes=classes in (None, FID_CLASSES),  # which it would be taken for
  )
  config = dict(architecture='inception_v3', num_classes=classes, num_features=2048)
  return config | dict(model_args={})


def _preprocessing(config: Mapping[str, Any], shapes: Shapes) -> Preprocessing:
  """To [-1, 1], as all of them; FID sees the whole picture."""
  del config
  if _is_fid(shapes):
    half = dict(mean=(128 / 255,) * 3, std=(128 / 255,) * 3)
    return Preprocessing((299, 299), 'squash', 1.0, 'bicubic', **half)
  return Preprocessing((299, 299), 'crop', 299 / 342, 'bilinear', **INCEPTION)


FORMATS = {
  'timm': Format(
    _part_of,
    _spec,
    _config,
    ignored=r'.*\.num_batches_tracked$|AuxLogits\.',
    keys=keys.timm(
      'aux_logits',
      only=dict(
        global_pool=('avg',),
        norm_layer=('batchnorm2d', 'batchnorm'),
        norm_eps=(1e-3,),
        act_layer=('relu',),
      ),
    ),
    architectures=r'(tf_|gluon_|adv_)?inception_v3$',
    sign=r'Mixed_5b\.branch5x5_1\.conv\.weight$',
    preprocessing=_preprocessing,
  )
}
