"""Weights of other people's DETRs.

  'meta'         facebookresearch/detr: R50, R101 and their DC5; from detr-r50-e632da11.pth by
                 safetensors.torch.save_file(torch.load(path)['model'], 'detr_r50.safetensors')
  'huggingface'  DetrForObjectDetection, with the backbone of timm (facebook/detr-resnet-50) or of
                 Hugging Face

Meta's files do not say that a backbone is dilated (DC5): a config.json beside them may, as that of
Hugging Face does, {"dilation": true}. Their 91 classes are ids of COCO; 11 of them are nothing.
Files of version 5 of transformers have the names of version 4; the names of its models in memory
are read as well.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from vitlab.errors import UserError
from vitlab.models.detr import VARIANTS
from vitlab.ops.positions import Grid
from vitlab.pretrained import keys, layouts, specs
from vitlab.pretrained.assemble import Format, PartOf, Shapes, Sides
from vitlab.pretrained.families import _resnet_names as resnet
from vitlab.pretrained.layouts import portion, same
from vitlab.pretrained.preprocessing import Preprocessing
from vitlab.pretrained.rename import substituted
from vitlab.pretrained.tables import Seen, below, by_table, column

KIND = 'detection'  # see `vitlab.pretrained.kind`
QKV = 'self_attn.in_proj', ('self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj')
# Our module -> Meta's and Hugging Face's; {} is the number of the block.
OUTER = {
  'projection': ('input_proj', 'model.input_projection'),
  'object_queries/learned': ('query_embed.weight', 'model.query_position_embeddings.weight'),
  'decoder_norm': ('transformer.decoder.norm', 'model.decoder.layernorm'),
  'class_head': ('class_embed', 'class_labels_classifier'),
  'box_head/layer_{}': ('bbox_embed.layers.{}', 'bbox_predictor.layers.{}'),
}
BLOCK = {
  'attention/qkv': QKV,
  'attention/out': ('self_attn.out_proj', 'self_attn.out_proj'),
  'norm1': ('norm1', 'self_attn_layer_norm'),
  'mlp/up': ('linear1', 'fc1'),
  'mlp/down': ('linear2', 'fc2'),
}
ENCODER = BLOCK | {'norm2': ('norm2', 'final_layer_norm')}
DECODER = BLOCK | {
  'cross/q': ('multihead_attn.in_proj', 'encoder_attn.q_proj'),
  'cross/kv': ('multihead_attn.in_proj', ('encoder_attn.k_proj', 'encoder_attn.v_proj')),
  'cross/out': ('multihead_attn.out_proj', 'encoder_attn.out_proj'),
  'norm2': ('norm2', 'encoder_attn_layer_norm'),
  'norm3': ('norm3', 'final_layer_norm'),
}
META, HUGGINGFACE = (
  column(OUTER, i)
  | below('encoder/block_{}/', f'{inside}encoder.layers.{{}}.', column(ENCODER, i))
  | below('decoder/block_{}/', f'{inside}decoder.layers.{{}}.', column(DECODER, i))
  for i, inside in enumerate(('transformer.', 'model.'))
)
BODIES = dict(meta='backbone.0.body.', huggingface='model.backbone.conv_encoder.model.')
SIGN = 'conv1.weight'  # of a body of timm below that name
# torch's attention keeps queries, keys and values in one tensor; ours apart where they are of two.
TOGETHER = {
  f'cross/{name}/{leaf}': portion(layout, (1, 2), i)
  for i, name in enumerate(('q', 'kv'))
  for leaf, layout in dict(kernel=layouts.linear(), bias=layouts.flat).items()
}
ODD = {'projection/kernel': layouts.pointwise, 'object_queries/learned': same}
# Models of transformers 5 in memory: regex of the names in files -> theirs.
HUGGINGFACE_5 = {
  r'(attn\.)out_proj': r'\1o_proj',
  r'(layers\.\d+\.)(fc\d)': r'\1mlp.\2',
  r'^model\.backbone\.conv_encoder\.': 'model.backbone.',
}
IGNORED = r'.*\.num_batches_tracked$'
# Of a training in which more is asked than the paper's queries; nobody asks it afterwards.
TRAINED_ALONE = ('more', 'class_embed', 'box_embed')

KEYS = keys.huggingface(
  'detr',
  read='num_channels num_queries use_timm_backbone backbone dilation',
  only=dict(
    is_encoder_decoder=(True,),
    position_embedding_type=('sine',),
    activation_function=('relu',),
    scale_embedding=(False, None),
    backbone_kwargs=(None, {}),
    auxiliary_loss=(False,),  # with it, norms of the decoder stand in the way of its next layer
  ),
  training=(
    'dropout attention_dropout activation_dropout init_std init_xavier_std encoder_layerdrop'
    ' decoder_layerdrop classifier_dropout class_cost bbox_cost giou_cost mask_loss_coefficient'
    ' dice_loss_coefficient bbox_loss_coefficient giou_loss_coefficient eos_coefficient'
  ),
  why={
    'is the length of a table that is computed': 'max_position_embeddings',
    'says again what encoder_layers says': 'num_hidden_layers',
    'says where a backbone starts that these weights replace': 'use_pretrained_backbone',
  },
) | keys.Keys(parts={'backbone_config': resnet.HUGGINGFACE_KEYS})
# Our word -> their key, behind 'encoder_' and 'decoder_'.
SIDES = dict(depth='layers', num_heads='attention_heads', mlp_dim='ffn_dim')
ONLY = dict(norm_epsilon=1e-5)
FROZEN = dict(norm='frozen_batchnorm')
PICTURES = Preprocessing(
  image_size=(800, 1333), resize='fit', crop_fraction=1.0, interpolation='bilinear'
)


def _meta(sides: Sides) -> PartOf:
  """Meta's tensors."""
  table = META | resnet.table('timm', 'backbone/', BODIES['meta'])
  rename = lambda name: resnet.counted_from_1(name.replace('in_proj.', 'in_proj_'))  # noqa: E731
  return by_table(table, rename=rename, odd=ODD | TOGETHER)(sides)


def _huggingface(sides: Sides) -> PartOf:
  """Those of transformers, in its files or, of version 5, in its memory."""
  body = BODIES['huggingface']
  version_5 = any('.mlp.fc1.' in name for name in sides.theirs)
  modern = partial(substituted, rename=HUGGINGFACE_5 if version_5 else {})
  timm = modern(body + SIGN) in sides.theirs
  table = HUGGINGFACE | resnet.table('timm' if timm else 'huggingface', 'backbone/', body)
  rename = lambda name: modern(resnet.counted_from_1(name) if timm else name)  # noqa: E731
  return by_table(table, rename=rename, odd=ODD)(sides)


def _spec(
  part_of: Callable[[Sides], PartOf], config: Mapping[str, Any], shapes: Shapes
) -> dict[str, Any]:
  """Our model spec.

  Raises:
    UserError: it is not the DETR of the paper, or not on a ResNet.
  """
  seen = Seen(part_of, shapes)
  width, mlp_dim = seen['decoder/block_0/mlp/down/kernel']
  depths = {side: seen.count(side + '/block_{}/mlp/up/kernel') for side in ('encoder', 'decoder')}
  heads = {config.get(f'{side}_attention_heads', 8) for side in depths}
  if len({*depths.values()}) > 1 or len(heads) > 1:
    raise UserError(
      f'a DETR whose encoder and decoder differ ({depths}) is none that vitlab computes'
    )
  size = dict(width=width, depth=depths['encoder'], num_heads=heads.pop(), mlp_dim=mlp_dim)
  specs.check_heads('encoder_attention_heads', size['num_heads'], width)
  body = resnet.size_words(seen, 'backbone/') | FROZEN
  return dict(
    name='detr',
    num_classes=seen['class_head/kernel'][0] - 1,
    **specs.size_words(size, VARIANTS, 'base'),
    num_queries=seen['object_queries/learned'][0],
    backbone=dict(name='resnet', **body | dict(dilated_stages=int(config.get('dilation', False)))),
    **ONLY,
  )


def _to_huggingface(spec: Mapping[str, Any], image_size: Grid | None) -> dict[str, Any]:
  """The config.json of DetrForObjectDetection."""
  del image_size
  words = specs.all_words(spec, VARIANTS)
  backbone = words['backbone']
  known = backbone['name'] == 'resnet'
  backbone = specs.all_words(backbone) if known else backbone
  norm = backbone.get('norm')
  specs.refuse(
    'Hugging Face',
    **specs.differing(words, ONLY),
    focus=words['focus'],
    backbone=not known or norm not in ('frozen_batchnorm', 'batchnorm'),
  )
  inner = resnet.to_huggingface({**backbone, 'norm': 'batchnorm'})
  return dict(
    architectures=['DetrForObjectDetection'],
    model_type='detr',
    is_encoder_decoder=True,
    use_timm_backbone=False,
    use_pretrained_backbone=False,
    backbone=None,
    backbone_config=inner | dict(out_features=[f'stage{len(inner["depths"])}']),
    d_model=words['width'],
    num_queries=words['num_queries'],
    **specs.said(words, {word: f'encoder_{key}' for word, key in SIDES.items()}),
    **specs.said(words, {word: f'decoder_{key}' for word, key in SIDES.items()}),
    dropout=words['dropout_rate'],
    attention_dropout=words['dropout_rate'],
    activation_dropout=words['dropout_rate'],
    eos_coefficient=words['no_object_weight'],
  )


def _answering(tree: Any, spec: Mapping[str, Any], image_size: Grid) -> tuple[Any, dict[str, Any]]:
  """The model without the queries of training."""
  del image_size
  params = dict(tree['params'])
  queries = params['object_queries']
  params['object_queries'] = {k: v for k, v in queries.items() if k not in TRAINED_ALONE}
  return {**tree, 'params': params}, {**spec, 'query_groups': 1, 'denoising': 0}


FORMATS = {
  'meta': Format(
    _meta,
    partial(_spec, _meta),
    ignored=IGNORED,
    head=r'class_embed\.',
    sign=r'transformer\.decoder\.layers\.0\.multihead_attn\.in_proj_weight$',
    preprocessing=PICTURES,
  ),
  'huggingface': Format(
    _huggingface,
    partial(_spec, _huggingface),
    _to_huggingface,
    ignored=IGNORED,
    head=r'class_labels_classifier\.',
    keys=KEYS,
    architectures=r'detr$',
    sign=r'model\.query_position_embeddings\.weight$',
    preprocessing=PICTURES,
    rewrite=_answering,
  ),
}
