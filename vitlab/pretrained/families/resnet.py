"""Weights of other people's ResNets: torchvision's, timm's and Hugging Face's.

torchvision and timm have the same names. timm's relatives with other stems, grouped or widened
convolutions, attention or blurring (ResNet-50-D, ResNeXt, ...) are other models and are refused, as
is Hugging Face's option to put the stride on the 1×1 convolution. timm's 'resnet50_gn' is ours with
norm='groupnorm'.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from vitlab.models.resnet import BLOCKS, VARIANTS, Size
from vitlab.ops.positions import Grid
from vitlab.pretrained import keys, specs
from vitlab.pretrained.assemble import Format, PartOf, Shapes, Sides
from vitlab.pretrained.families import _resnet_names as resnet
from vitlab.pretrained.preprocessing import Preprocessing
from vitlab.pretrained.tables import Seen, by_table, column

KIND = 'classification'  # see `vitlab.pretrained.kind`
TIMM, HUGGINGFACE = (
  resnet.table(library) | column(resnet.HEAD, i)
  for i, library in enumerate(('timm', 'huggingface'))
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
IGNORED = r'.*\.num_batches_tracked$'


def _spec(
  part_of: Callable[[Sides], PartOf], config: Mapping[str, Any], shapes: Shapes
) -> dict[str, Any]:
  """Our model spec."""
  del config
  seen = Seen(part_of, shapes)
  return dict(
    name='resnet',
    num_classes=seen.get('head/kernel', (None,))[0],
    **resnet.size_words(seen),
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
    **specs.differing(words, resnet.ONLY),
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
  classes = specs.all_words(spec)['num_classes']
  name = f'ResNet{"ForImageClassification" if classes else "Model"}'
  return dict(architectures=[name], **resnet.to_huggingface(spec))


NAMES_OF_TIMM = by_table(TIMM, rename=resnet.counted_from_1)
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
    keys=resnet.HUGGINGFACE_KEYS,
    sign=r'(resnet\.)?encoder\.stages\.0\.layers\.0\.layer\.0\.convolution\.weight$',
  ),
}
