"""Weights of torchvision's Faster R-CNN, version 1 and 2, with a ResNet of any depth.

torchvision saves a pickle; what is read here is a file of safetensors, which two lines make of it:

  import torch, safetensors.torch
  safetensors.torch.save_file(torch.load('x.pth', weights_only=True), 'model.safetensors')

Tensors do not say everything. Anchors are torchvision's where a config.json does not say others. In
files with the names of before 2022, as the published version 1 has them, frozen norms add no
epsilon: torchvision computes them so, too, because they were learned without one. A model that
torchvision made of such a file and saved by its newer names has still learned so: it needs
`model.backbone.norm_epsilon=0.0`. Classes of torchvision count background as number 0; ours do not.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from vitlab.errors import UserError
from vitlab.ops.positions import Grid
from vitlab.pretrained import layouts, specs
from vitlab.pretrained.assemble import Format, PartOf, Shapes, Sides
from vitlab.pretrained.families import _resnet_names as resnet
from vitlab.pretrained.files import Files
from vitlab.pretrained.preprocessing import IMAGENET, Preprocessing
from vitlab.pretrained.tables import Seen, by_table

KIND = 'detection'  # see `vitlab.pretrained.kind`
TABLE = resnet.table('timm', 'backbone/', 'backbone.body.') | {
  'fpn/lateral_{}': 'backbone.fpn.inner_blocks.{}.0',
  'fpn/lateral_norm_{}': 'backbone.fpn.inner_blocks.{}.1',
  'fpn/output_{}': 'backbone.fpn.layer_blocks.{}.0',
  'fpn/output_norm_{}': 'backbone.fpn.layer_blocks.{}.1',
  'rpn/conv_{}': 'rpn.head.conv.{}.0',
  'rpn/objectness': 'rpn.head.cls_logits',
  'rpn/deltas': 'rpn.head.bbox_pred',
  'region_class_head': 'roi_heads.box_predictor.cls_score',
  'region_delta_head': 'roi_heads.box_predictor.bbox_pred',
}
BOX_HEADS = {
  'v1': {
    'box_head/hidden1': 'roi_heads.box_head.fc6',
    'box_head/hidden2': 'roi_heads.box_head.fc7',
  },
  'v2': {
    'box_head/conv_{}': 'roi_heads.box_head.{}.0',
    'box_head/norm_{}': 'roi_heads.box_head.{}.1',
    'box_head/hidden1': 'roi_heads.box_head.5',  # behind four of these and what flattens
  },
}
NAMES = {
  variant: by_table(
    TABLE | table, rename=resnet.counted_from_1, odd={'hidden1/kernel': layouts.flat_map}
  )
  for variant, table in BOX_HEADS.items()
}
OLD = re.compile(r'(rpn\.head\.conv|backbone\.fpn\.\w+_blocks\.\d+)\.(weight|bias)$')
# What tensors do not show of the answers to a picture.
SAID = (
  'anchor_sizes',
  'anchor_ratios',
  'candidates',
  'proposals',
  'score_threshold',
  'nms_iou',
  'max_detections',
)


def _part_of(sides: Sides) -> PartOf:
  ours, theirs = 'params/box_head/conv_0/kernel', 'roi_heads.box_head.0.0.weight'
  return NAMES['v2' if ours in sides.ours or theirs in sides.theirs else 'v1'](sides)


def _modern(files: Files) -> Files:
  """By the names of newer files, and what only older ones are: without epsilon."""
  if not any(map(OLD.match, files.tensors)):
    return files
  behind = {'r': '.0.0.', 'b': '.0.'}
  tensors = {
    OLD.sub(lambda m: m[1] + behind[m[1][0]] + m[2], name): tensor
    for name, tensor in files.tensors.items()
  }
  said = {'norm_epsilon': 0.0, **files.config.get('faster_rcnn', {})}
  return files._replace(tensors=tensors, config={**files.config, 'faster_rcnn': said})


def _spec(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
  """Our model spec."""
  seen, said = Seen(_part_of, shapes), config.get('faster_rcnn', {})
  channels = seen['fpn/lateral_0/kernel'][0]
  hidden, flat = seen['box_head/hidden1/kernel']
  frozen = 'backbone.body.bn1.num_batches_tracked' not in shapes
  norm = said.get('norm', 'frozen_batchnorm' if frozen else 'batchnorm')
  body = resnet.size_words(seen, 'backbone/') | dict(norm_epsilon=said.get('norm_epsilon', 1e-5))
  spec = dict(
    name='faster_rcnn',
    backbone=dict(name='resnet', norm=norm, **body),
    num_classes=seen['region_class_head/kernel'][0] - 1,
    variant='v2' if 'fpn/lateral_norm_0/scale' in seen else 'v1',
    channels=channels,
    hidden=hidden,
    region_size=math.isqrt(flat // channels),
    **{word: said[word] for word in SAID if word in said},
  )
  levels, anchors = seen.count('fpn/lateral_{}/kernel') + 1, seen['rpn/objectness/kernel'][0]
  words = specs.all_words(spec)
  sizes, ratios = words['anchor_sizes'], words['anchor_ratios']
  if len(sizes) != levels or len(sizes[0]) * len(ratios) != anchors:
    raise UserError(
      f'{anchors} anchors at a pixel of each of {levels} levels are not those of torchvision'
      '\nput a config.json beside the weights: {"faster_rcnn": {"anchor_sizes": [[32], ...], '
      '"anchor_ratios": [0.5, 1, 2]}}, sizes for every level'
    )
  return spec


def _to_torchvision(spec: Mapping[str, Any], image_size: Grid | None) -> dict[str, Any]:
  """What their tensors do not say; torchvision reads the tensors alone."""
  del image_size
  words = specs.all_words(spec)
  body = words['backbone']
  if not isinstance(body, Mapping) or body['name'] != 'resnet':
    raise UserError(
      'torchvision has no such model: its backbone is to be a ResNet'
      '\nexport without --format: a program of its own (StableHLO)'
    )
  body = specs.all_words(body)
  norm, epsilon = body['norm'], body['norm_epsilon']
  only = {word: value for word, value in resnet.ONLY.items() if word != 'norm_epsilon'}
  specs.refuse(
    'torchvision',
    **specs.differing(body, only),
    norm=norm not in ('frozen_batchnorm', 'batchnorm'),
    norm_epsilon=norm == 'batchnorm' and epsilon != 1e-5,
  )
  said = {word: words[word] for word in SAID}
  return dict(faster_rcnn=dict(norm=norm, norm_epsilon=epsilon, **said))


FORMATS = {
  'torchvision': Format(
    _part_of,
    _spec,
    _to_torchvision,
    ignored=r'.*\.num_batches_tracked$',
    head=r'roi_heads\.box_predictor\.',
    sign=r'roi_heads\.box_predictor\.cls_score\.weight$',
    preprocessing=Preprocessing(
      image_size=(800, 1333), resize='fit', crop_fraction=1.0, interpolation='bilinear', **IMAGENET
    ),
    prepare=_modern,
  )
}
