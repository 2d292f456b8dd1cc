"""torchvision's Faster R-CNN, small, with random float64 weights of every kind."""

from collections.abc import Mapping
from functools import cache, partial
from typing import Any
from unittest import mock

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import torch
from _helpers import parity
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection import faster_rcnn as published
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RPNHead
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

from vitlab.models import faster_rcnn, resnet
from vitlab.ops.boxes import Objects
from vitlab.pretrained import import_tensors

CLASSES, CHANNELS, HIDDEN, SIDE = 3, 8, 16, 3
ANCHORS = ((10,), (20,), (40,), (80,), (160,))
# In training and otherwise; small enough that all of them decide.
NUMBERS = dict(candidates=(30, 20), proposals=(60, 40), samples=(24, 16))
SHAPE = (2, 128, 160, 3)
SIZES = np.array([[128, 140], [100, 160]], np.int32)


def new(variant: str = 'v1', frozen: bool = True) -> FasterRCNN:
  norm = FrozenBatchNorm2d if frozen else torch.nn.BatchNorm2d
  body = ResNet(BasicBlock, [1, 1, 1, 1], norm_layer=norm)
  levels, v2 = {f'layer{i + 1}': str(i) for i in range(4)}, variant == 'v2'
  batchnorm = torch.nn.BatchNorm2d if v2 else None
  backbone = BackboneWithFPN(body, levels, [64, 128, 256, 512], CHANNELS, norm_layer=batchnorm)
  head = (
    published.FastRCNNConvFCHead((CHANNELS, SIDE, SIDE), [CHANNELS] * 4, [HIDDEN], batchnorm)
    if v2
    else published.TwoMLPHead(CHANNELS * SIDE**2, HIDDEN)
  )
  (train, test), (train_kept, test_kept) = NUMBERS['candidates'], NUMBERS['proposals']
  anchors, regions = NUMBERS['samples']
  return FasterRCNN(
    backbone,
    rpn_anchor_generator=AnchorGenerator(ANCHORS, ((0.5, 1.0, 2.0),) * 5),
    rpn_head=RPNHead(CHANNELS, 3, conv_depth=1 + v2),
    rpn_pre_nms_top_n_train=train,
    rpn_pre_nms_top_n_test=test,
    rpn_post_nms_top_n_train=train_kept,
    rpn_post_nms_top_n_test=test_kept,
    rpn_batch_size_per_image=anchors,
    box_batch_size_per_image=regions,
    box_roi_pool=MultiScaleRoIAlign(['0', '1', '2', '3'], SIDE, 2),
    box_head=head,
    box_predictor=published.FastRCNNPredictor(HIDDEN, 1 + CLASSES),
    box_detections_per_img=30,
  )


@cache
def drawn(variant: str = 'v1', frozen: bool = True) -> FasterRCNN:
  """With random parameters and statistics, answers of all kinds."""
  torch.manual_seed(0)
  model = parity.perturb(new(variant, frozen))
  generator = torch.Generator().manual_seed(0)
  for name, buffer in model.named_buffers():
    noise = torch.randn(buffer.shape, generator=generator, dtype=torch.float64)
    if name.endswith('running_var'):
      buffer.copy_(0.5 + noise.abs())
    elif buffer.ndim == 1:
      buffer.add_(0.3 * noise)
  head, box = model.rpn.head, model.roi_heads.box_predictor
  with torch.no_grad():  # few ReLUs at zero: of equal scores torch takes any
    for conv in head.conv:
      conv[0].bias.add_(2.0)
  spread(model, {head.cls_logits: 2.0, head.bbox_pred: 0.4})
  spread(model, {box.cls_score: 2.0, box.bbox_pred: 1.5})
  return model


@torch.no_grad()
def spread(model: FasterRCNN, layers: Mapping[torch.nn.Module, float]) -> None:
  """Shifts and scales what last layers answer, so that each number is about 0 with this spread."""
  seen = {layer: [] for layer in layers}
  hooks = [
    layer.register_forward_hook(
      lambda layer, _, y: seen[layer].append(y.transpose(0, 1).flatten(1))
    )
    for layer in layers
  ]
  run(model)
  for (layer, wanted), hook in zip(layers.items(), hooks):
    hook.remove()
    answers = torch.cat(seen[layer], 1)
    factor = wanted / answers.std(1)
    layer.weight.mul_(factor.reshape(-1, *[1] * (layer.weight.ndim - 1)))
    layer.bias.copy_((layer.bias - answers.mean(1)) * factor)


def pictures() -> np.ndarray:
  """Two, zero in their padding."""
  image = parity.image(SHAPE)
  for picture, (height, width) in zip(image, SIZES):
    picture[height:] = 0
    picture[:, width:] = 0
  return image


def targets() -> list[dict[str, torch.Tensor]]:
  """Three objects of the first picture, one of the second."""
  boxes = [
    [[3.0, 5.0, 40.5, 60.25], [50.0, 20.0, 130.0, 120.0], [55.0, 18.0, 126.0, 117.0]],
    [[100.0, 40.0, 121.0, 63.0]],
  ]
  labels = [[1, 3, 2], [2]]
  return [
    dict(boxes=torch.tensor(box, dtype=torch.float64), labels=torch.tensor(label))
    for box, label in zip(boxes, labels)
  ]


def run(model: FasterRCNN, train: bool = False) -> tuple[Any, Any, Any]:
  """Proposals, detections and losses, by way of its parts: pictures are not scaled again."""
  images = torch.tensor(pictures().transpose(0, 3, 1, 2))
  sizes = [tuple(map(int, size)) for size in SIZES]
  asked = targets() if train else None
  features = model.train(train).backbone(images)
  with mock.patch.object(torch.nn.functional, 'binary_cross_entropy_with_logits', _doubled):
    proposals, losses = model.rpn(ImageList(images, sizes), features, asked)
  detections, more = model.roi_heads(features, proposals, sizes, asked)
  return proposals, detections, losses | more


def _doubled(logits, labels, loss=torch.nn.functional.binary_cross_entropy_with_logits):
  """Their labels of anchors are float32 whatever the logits are, and so would be the loss."""
  return loss(logits, labels.to(logits))


class Given(nn.Module):
  """In place of our backbone: the maps that theirs gives, so that little is compiled."""

  @nn.compact
  def __call__(self, image, train=False):
    del image, train
    return None, dict(levels=[jnp.asarray(level) for level in maps()])


@cache
def maps() -> list[np.ndarray]:
  """What the backbone of version 1 gives."""
  images = torch.tensor(pictures().transpose(0, 3, 1, 2))
  levels = drawn().backbone.body(images).values()
  return [level.detach().numpy().transpose(0, 2, 3, 1) for level in levels]


def ours(
  variant: str = 'v1', frozen: bool = True, backbone: nn.Module | None = None, **options: Any
) -> nn.Module:
  """Our model of the same numbers."""
  norm = 'frozen_batchnorm' if frozen else 'batchnorm'
  backbone = backbone or resnet.make('18', depths=(1,) * 4, norm=norm, dtype='float64')
  words = dict(channels=CHANNELS, hidden=HIDDEN, anchor_sizes=ANCHORS, region_size=SIDE)
  words |= dict(max_detections=30, dtype='float64') | NUMBERS
  return faster_rcnn.make(backbone, CLASSES, variant, **words | options)


def inputs() -> tuple[jax.Array, jax.Array]:
  return jnp.asarray(pictures()), jnp.asarray(SIZES)


def objects() -> Objects:
  """`targets` as our task hands them on."""
  boxes, classes = np.zeros((2, 4, 4)), np.full((2, 4), -1)
  for i, target in enumerate(targets()):
    count = len(target['labels'])
    boxes[i, :count], classes[i, :count] = target['boxes'], target['labels'] - 1
  return Objects(jnp.asarray(boxes), jnp.asarray(classes, jnp.int32))


def load(tensors: Mapping[str, Any], model: nn.Module, *collections: str) -> dict[str, Any]:
  """Our variables of their tensors, by the public importer; some collections if named."""
  like = jax.eval_shape(partial(model.init, train=False), jax.random.key(0), *inputs())
  like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float64), like)
  like = {name: like[name] for name in collections or like}
  return jax.tree.map(jnp.asarray, import_tensors(tensors, like, 'faster_rcnn', 'torchvision'))


def array(tensor: torch.Tensor) -> np.ndarray:
  return tensor.detach().numpy()


@cache
def oracle(variant: str = 'v1', frozen: bool = True) -> tuple[list, list]:
  """Their proposals and detections."""
  found, answers, _ = run(drawn(variant, frozen))
  return [array(boxes) for boxes in found], [
    {name: array(tensor) for name, tensor in answer.items()} for answer in answers
  ]


def find(model: nn.Module, variables: Mapping[str, Any]) -> tuple[Any, Any]:
  """Our proposals and detections."""

  @jax.jit
  def run(variables):
    image, size = inputs()
    out = model.apply(variables, image, size)
    return out['proposals'], model.detect(out, size)

  return run(variables)


def difference(ours: tuple[Any, Any], theirs: tuple[list, list]) -> float:
  """The largest between proposals, boxes and scores; infinite if others were found."""
  (found, answer), (their_found, their_answers) = ours, theirs
  errors = []
  for i, (boxes, wanted) in enumerate(zip(their_found, their_answers)):
    some, count = len(boxes), len(wanted['boxes'])
    same = int(found.valid[i].sum()) == some and int((answer.classes[i] >= 0).sum()) == count
    if not same or (answer.classes[i, :count] != wanted['labels'] - 1).any():
      return np.inf
    errors += [
      parity.error(found.boxes[i, :some], boxes),
      parity.error(answer.boxes[i, :count], wanted['boxes']),
      parity.error(answer.scores[i, :count], wanted['scores']),
    ]
  return max(errors)


def means(terms: Mapping[str, Any]) -> dict[str, jax.Array]:
  """What the task makes of terms, one by one."""
  return {name: term.weight * term.sum / jnp.maximum(term.count, 1) for name, term in terms.items()}
