"""Faster R-CNN with a ResNet-50 on COCO, 26 epochs, as torchvision trains it.

  command    python launch.py --config=configs/faster_rcnn_r50_coco.py:path=coco,backbone=resnet50
  hardware   8 accelerators; see --mode=inspect --topology=h100:8
  published  37.0 % AP on val2017; not run here

`path` holds annotations and pictures of COCO 2017, in folders or archives; without it they are what
TensorFlow Datasets has prepared. `backbone` holds a ResNet-50 of ImageNet, of torchvision or timm:
its norms stay frozen, as do its stem and its first stage. `:smoke` needs neither: it learns bundled
digits.

Differences: torchvision pads a batch to its largest picture, here shapes are a few fixed ones. Its
learning rate rises for 1,000 steps, from a thousandth.
"""

from ml_collections import ConfigDict

from configs.common import coco, imagenet, smoke
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: of COCO; `backbone`: weights; `variant`: v1 or v2; `smoke`: seconds, on digits."""
  arg = parse_arg(arg, path='', backbone='', variant='v1', smoke=False)
  config = base()
  config.duration = '26 epochs'
  config.batch_size = 16
  config.num_workers = 16

  config.data = dict(coco.data(arg.path), image_size=(800, 1333))
  config.model = dict(
    name='faster_rcnn',
    num_classes=None,
    variant=arg.variant,
    backbone=dict(name='resnet', variant='50', norm='frozen_batchnorm', dtype='float32'),
    dtype='float32',
  )
  if arg.backbone:
    config.init_from = {'model/backbone': arg.backbone}
  config.task = dict(name='detection', augment='flip', **imagenet.NORMALISATION)
  config.optim = dict(
    name='sgd',
    momentum=0.9,
    learning_rate=0.02,
    schedule='step',
    milestones=('16 epochs', '22 epochs'),
    warmup='1000 steps',
    weight_decay=1e-4,
    freeze='^backbone/(stem|stage_0)/',
  )
  coco.evaluate(config, arg.path, every='2 epochs')
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  smoke.scattered(config)
  config.task.update(mean=(0.5,), std=(0.5,))
  config.model.backbone.update(variant='18', depths=(1, 1), width=16, norm='batchnorm')
  config.model.update(channels=32, hidden=64, anchor_sizes=((12,), (20,), (30,)))
  config.model.update(candidates=(40, 20), proposals=(32, 16), samples=(32, 16), region_size=5)
