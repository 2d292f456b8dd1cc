"""DETR with a ResNet-50 on COCO, 500 epochs, as its authors train it.

  command    python launch.py --config=configs/detr_r50_coco.py:path=coco,backbone=resnet50
  hardware   16 V100 for 3 days; see --mode=inspect --topology=h100:16
  published  42.0 % AP on val2017, with dc5 43.3 %; 300 epochs 40.6 %; not run here

`path` holds annotations and pictures of COCO 2017, in folders or archives; without it they are what
TensorFlow Datasets has prepared. `backbone` holds a ResNet-50 of ImageNet, of torchvision or timm:
its norms stay frozen, as do its stem and its first stage. `:smoke` needs neither: it learns bundled
digits.

Of arXiv:2005.12872, section A.4. Differences: theirs scale the shorter side to 480 to 800 pixels
and cut half of the pictures before, here pictures of 800 by 1333 are scaled by 0.6 to 1.
"""

from ml_collections import ConfigDict

from configs.common import coco, imagenet, smoke
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: of COCO; `backbone`: weights; `variant`: of the ResNet; `dc5`: a finer last map;
  `epochs`; `smoke`: seconds, on digits."""
  words = dict(path='', backbone='', variant='50', dc5=False, epochs=500)
  arg = parse_arg(arg, **words, smoke=False)
  config = base()
  config.duration = f'{arg.epochs} epochs'
  config.batch_size = 64
  config.num_workers = 16

  config.data = dict(coco.data(arg.path), image_size=(800, 1333))
  config.model = dict(
    name='detr',
    num_classes=None,
    variant='base',
    backbone=dict(
      name='resnet',
      variant=arg.variant,
      norm='frozen_batchnorm',
      dilated_stages=int(arg.dc5),
      dtype='float32',
    ),
    dtype='float32',
  )
  if arg.backbone:
    config.init_from = {'model/backbone': arg.backbone}
  augment = 'scale_jitter(zoom=(0.6, 1.0))|flip'
  config.task = dict(name='detection', augment=augment, **imagenet.NORMALISATION)
  config.optim = dict(
    name='adamw',
    learning_rate=1e-4,
    lr_multipliers=(('^backbone/', 0.1),),
    schedule='step',
    milestones=(f'{arg.epochs * 4 // 5} epochs',),
    weight_decay=1e-4,
    decay_mask='.',
    clip_norm=0.1,
    freeze='^backbone/(stem|stage_0)/',
  )
  coco.evaluate(config, arg.path, every='10 epochs')
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  smoke.scattered(config)
  config.task.update(mean=(0.5,), std=(0.5,))
  config.model.backbone.update(variant='18', depths=(1, 1), width=8, norm='batchnorm')
  config.model.backbone.dilated_stages = 0
  config.model.update(variant='mu', num_queries=12, dropout_rate=0.0)
