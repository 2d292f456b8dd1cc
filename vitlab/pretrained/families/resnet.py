"""Weights of other people's ResNets: torchvision's, timm's and Hugging Face's.

torchvision and timm have the same names. timm's relatives with other stems, grouped or widened
convolutions, attention or blurring (ResNet-50-D, ResNeXt, ...) are other models and are refused, as
is Hugging Face's option to put the stride on the 1×1 convolution. timm's 'resnet50_gn' is ours with
norm='groupnorm'.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from vitlab.errors import UserError
from vitlab.models.resnet import BLOCKS, VARIANTS, Size
from vitlab.ops.positions import Grid
from vitlab.pretrained import keys, specs
from vitlab.pretrained.assemble import Format, PartOf, Shapes, Sides
from vitlab.pretrained.preprocessing import Preprocessing
from vitlab.pretrained.tables import Seen, below, by_table, column

KIND = 'classification'  # see `vitlab.pretrained.kind`
# Our module -> timm's and Hugging Face's; {} are the numbers of stage and block.
OUTER = {
  'stem/conv': ('conv1', 'embedder.embedder.convolution'),
  'stem/norm': ('bn1', 'embedder.embedder.normalization'),
  'head': ('fc', 'classifier.1'),
}
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
TIMM, HUGGINGFACE = (
  column(OUTER, i) | below('stage_{}/block_{}/', block, column(BLOCK, i))
  for i, block in enumerate(('layer{}.{}.', 'encoder.stages.{}.layers.{}.'))
)

TIMM_KEYS = keys.timm(
  'layers',
  only=dict(
    global_pool=('avg',),
    block_args=({},),
    output_stride=(32,),
    cardinality=(1,),
    base_width=(64,),
    stem_type=('',),
    replace_stem_pool=(False,),
    block_reduce_first=(1,),
    down_kernel_size=(1,),
    avg_down=(False,),
    channels=((64, 128, 256, 512),),
    act_layer=('relu',),
    norm_layer=('batchnorm', 'batchnorm2d', 'groupnorm'),
  ),
  training='drop_block_rate zero_init_last stem_width',
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
# What no ResNet of theirs has otherwise.
ONLY = dict(
  stem='imagenet',
  norm_epsilon=1e-5,
  weight_standardization=False,
  padding='symmetric',
  dilated_stages=0,
)
IGNORED = r'.*\.num_batches_tracked$'


def _counted_from_1(name: str) -> str:
  """A name of timm's, whose stages are counted so."""
  return re.sub(r'^layer(\d+)', lambda m: f'layer{int(m[1]) + 1}', name)


def _spec(
  part_of: Callable[[Sides], PartOf], config: Mapping[str, Any], shapes: Shapes
) -> dict[str, Any]:
  """Our model spec, if the 3×3 kernels [o, i, y, x] in the blocks are those of a plain ResNet."""
  del config
  seen = Seen(part_of, shapes)
  if 'stem/conv/kernel' not in seen:
    raise UserError("a ResNet with a deep stem (timm's ResNet-D, -C, -S, -T) is another model")
  size = Size(
    'bottleneck' if 'stage_0/block_0/conv3/kernel' in seen else 'basic',
    seen.depths('stage_{}/block_{}/conv1/kernel'),
    seen['stem/conv/kernel'][0],
  )
  inner = [seen[f'stage_{i}/block_0/conv2/kernel'] for i in range(len(size.depths))]
  if any(kernel[:2] != (size.width * 2**i,) * 2 for i, kernel in enumerate(inner)):
    raise UserError(
      f'no ResNet of width (embedding_size) {size.width}: its 3×3 convolutions (hidden_sizes, '
      f'layer_type) are {[k[:2] for k in inner]}'
      '\ngrouped and widened ones (ResNeXt, Wide ResNet) are other models'
    )
  return dict(
    name='resnet',
    num_classes=seen.get('head/kernel', (None,))[0],
    **specs.size_words(size._asdict(), VARIANTS, '50'),
    **ONLY,
    norm='batchnorm' if 'stem/norm/mean' in seen else 'groupnorm',
    num_groups=32,
  )


def _to_timm(spec: Mapping[str, Any], image_size: Grid) -> dict[str, Any]:
  """timm's config.json: the architecture with our block, and how many of them."""
  del image_size
  words = specs.all_words(spec, VARIANTS)
  size, norm = Size(*(words[field] for field in Size._fields)), words['norm']
  specs.refuse(
    'timm',
    **specs.differing(words, ONLY),
    width=size.width != 64,
    depths=len(size.depths) != 4,
    norm=norm != 'batchnorm' and (norm, size.block) != ('groupnorm', 'bottleneck'),
    num_groups=norm == 'groupnorm' and words['num_groups'] != 32,
  )
  names = {s: f'resnet{name}' for name, s in VARIANTS.items() if name != 'mu'}
  near = {'basic': 'resnet18', 'bottleneck': 'resnet50'}[size.block]
  if norm == 'groupnorm':
    names, near = {VARIANTS['50']: 'resnet50_gn'}, 'resnet50_gn'
  return dict(
    architecture=names.get(size, near),
    num_classes=words['num_classes'] or 0,
    num_features=size.width * 8 * BLOCKS[size.block][-1].expansion,
    model_args={} if size in names else dict(layers=list(size.depths)),
  )


def _to_huggingface(spec: Mapping[str, Any], image_size: Grid) -> dict[str, Any]:
  """The config.json of ResNetForImageClassification."""
  del image_size
  words = specs.all_words(spec, VARIANTS)
  specs.refuse('Hugging Face', **specs.differing(words, ONLY | dict(norm='batchnorm')))
  widest = words['width'] * BLOCKS[words['block']][-1].expansion
  return dict(
    architectures=[f'ResNet{"ForImageClassification" if words["num_classes"] else "Model"}'],
    model_type='resnet',
    **specs.said(words, dict(block='layer_type', width='embedding_size', depths='depths')),
    hidden_sizes=[widest * 2**i for i in range(len(words['depths']))],
    hidden_act='relu',
    downsample_in_first_stage=False,
    downsample_in_bottleneck=False,
  )


NAMES_OF_TIMM = by_table(TIMM, rename=_counted_from_1)
NAMES_OF_HUGGINGFACE = by_table(HUGGINGFACE, prefix='resnet.')
FORMATS = {
  'timm': Format(
    NAMES_OF_TIMM,
    partial(_spec, NAMES_OF_TIMM),
    _to_timm,
    ignored=IGNORED,
    keys=TIMM_KEYS,
    architectures=r'(tv_)?resnet(18|26|34|50|101|152|200)(_gn)?$',
    sign=r'layer1\.0\.conv1\.weight$',
    preprocessing=Preprocessing(interpolation='bilinear'),
  ),
  'huggingface': Format(
    NAMES_OF_HUGGINGFACE,
    partial(_spec, NAMES_OF_HUGGINGFACE),
    _to_huggingface,
    ignored=IGNORED,
    keys=HUGGINGFACE_KEYS,
    sign=r'(resnet\.)?encoder\.stages\.0\.layers\.0\.layer\.0\.convolution\.weight$',
  ),
}
