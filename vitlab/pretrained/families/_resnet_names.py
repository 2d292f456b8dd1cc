"""Names and words of a ResNet in other people's files, alone or as the backbone of a detector."""

import re
from collections.abc import Mapping
from typing import Any

from vitlab.errors import UserError
from vitlab.models.resnet import BLOCKS, VARIANTS, Size
from vitlab.pretrained import keys, specs
from vitlab.pretrained.tables import Names, Seen, below, column

# Our module -> timm's (torchvision's) and Hugging Face's; {} are the numbers of stage and block.
OUTER = {
  'stem/conv': ('conv1', 'embedder.embedder.convolution'),
  'stem/norm': ('bn1', 'embedder.embedder.normalization'),
}
HEAD = {'head': ('fc', 'classifier.1')}
BLOCK = {
  'conv1': ('conv1', 'layer.0.convolution'),
  'norm1': ('bn1', 'layer.0.normalization'),
  'conv2': ('conv2', 'layer.1.convolution'),
  'norm2': ('bn2', 'layer.1.normalization'),
  'conv3': ('conv3', 'layer.2.convolution'),
  'norm3': ('bn3', 'layer.2.normalization'),
  'conv_shortcut': ('downsample.0', 'shortcut.convolution'),
  'norm_shortcut': ('downsample.1', 'shortcut.normalization'),
}
BODIES = tuple(
  column(OUTER, i) | below('stage_{}/block_{}/', block, column(BLOCK, i))
  for i, block in enumerate(('layer{}.{}.', 'encoder.stages.{}.layers.{}.'))
)
# What no ResNet of theirs has otherwise.
ONLY = dict(
  stem='imagenet',
  norm_epsilon=1e-5,
  weight_standardization=False,
  padding='symmetric',
  dilated_stages=0,
)

HUGGINGFACE_KEYS = keys.huggingface(
  read='num_channels embedding_size hidden_sizes depths layer_type',
  only=dict(
    hidden_act=('relu',),
    downsample_in_first_stage=(False,),
    downsample_in_bottleneck=(False,),
  ),
  why=keys.BACKBONE,
)


def table(library: str, ours: str = '', theirs: str = '') -> dict[str, Names]:
  """Our module -> theirs, without the classifier.

  Args:
    library: 'timm', whose names are torchvision's too, or 'huggingface'.
    ours: Module of ours that the ResNet lies in: 'backbone/'.
    theirs: Module of theirs: 'backbone.body.'.
  """
  return below(ours, theirs, BODIES[('timm', 'huggingface').index(library)])


def counted_from_1(name: str) -> str:
  """A name of timm's, whose stages are counted so."""
  return re.sub(r'(?<![a-z])layer(\d+)', lambda m: f'layer{int(m[1]) + 1}', name)


def size_words(seen: Seen, within: str = '') -> dict[str, Any]:
  """Words of our model, if the 3×3 kernels [o, i, y, x] in the blocks are those of a plain ResNet.

  Args:
    seen: Their tensors by our names.
    within: Module of ours that the ResNet lies in: 'backbone/'.
  """
  if f'{within}stem/conv/kernel' not in seen:
    raise UserError("a ResNet with a deep stem (timm's ResNet-D, -C, -S, -T) is another model")
  size = Size(
    'bottleneck' if f'{within}stage_0/block_0/conv3/kernel' in seen else 'basic',
    seen.depths(within + 'stage_{}/block_{}/conv1/kernel'),
    seen[f'{within}stem/conv/kernel'][0],
  )
  inner = [seen[f'{within}stage_{i}/block_0/conv2/kernel'] for i in range(len(size.depths))]
  if any(kernel[:2] != (size.width * 2**i,) * 2 for i, kernel in enumerate(inner)):
    raise UserError(
      f'no ResNet of width (embedding_size) {size.width}: its 3×3 convolutions (hidden_sizes, '
      f'layer_type) are {[k[:2] for k in inner]}'
      '\ngrouped and widened ones (ResNeXt, Wide ResNet) are other models'
    )
  return specs.size_words(size._asdict(), VARIANTS, '50') | ONLY


def to_huggingface(spec: Mapping[str, Any]) -> dict[str, Any]:
  """The config.json of a ResNet, without the name of a class; UserError if there is none of it."""
  words = specs.all_words(spec, VARIANTS)
  specs.refuse('Hugging Face', **specs.differing(words, ONLY | dict(norm='batchnorm')))
  widest = words['width'] * BLOCKS[words['block']][-1].expansion
  return dict(
    model_type='resnet',
    **specs.said(words, dict(block='layer_type', width='embedding_size', depths='depths')),
    hidden_sizes=[widest * 2**i for i in range(len(words['depths']))],
    hidden_act='relu',
    downsample_in_first_stage=False,
    downsample_in_bottleneck=False,
  )
