"""YOLOv3 on COCO, as its paper trains it, but from nothing (arXiv:1804.02767).

  command    python launch.py --config=configs/yolo_v3_coco.py:path=coco
  hardware   8 or more accelerators; see --mode=inspect --topology=h100:8
  published  31.0 % AP, 55.3 % AP50 on test-dev at 416 pixels, from ImageNet; not run here

`path` holds annotations and pictures of COCO 2017, in folders or archives; without it they are what
TensorFlow Datasets has prepared. `:smoke` needs neither: it learns bundled digits.

Differences: they start from a Darknet-53 that has learned ImageNet, and draw another size of
pictures from 320 to 608 every ten steps.
"""

from ml_collections import ConfigDict

from configs.common import coco, smoke
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: of COCO; `variant`: of YOLOv3; `smoke`: a run of seconds on digits."""
  arg = parse_arg(arg, path='', variant='53', smoke=False)
  config = base()
  config.duration = '500200 steps'
  config.batch_size = 64
  config.num_workers = 16

  config.data = dict(coco.data(arg.path), image_size=416)
  config.model = dict(name='yolo_v3', num_classes=None, variant=arg.variant, dtype='bfloat16')
  config.task = dict(
    name='detection',
    augment='scale_jitter(zoom=(0.7, 1.3))|flip|hsv_jitter(hue=0.1, saturation=0.3, value=0.3)',
    mean=(0.0,),
    std=(1.0,),
    fill=(127,),
  )
  config.optim = dict(
    name='sgd',
    momentum=0.9,
    learning_rate=1e-3,
    schedule='step',
    milestones=('400000 steps', '450000 steps'),
    warmup='1000 steps',
    weight_decay=5e-4,
    clip_norm=100.0,
  )
  coco.evaluate(config, arg.path, every='10%')
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  smoke.scattered(config, '50 steps')
  # A twentieth of COCO's, for pictures of 64 pixels; digits are higher than wide.
  anchors = (
    (8, 12),
    (10, 14),
    (12, 18),
    (14, 22),
    (16, 24),
    (18, 26),
    (20, 30),
    (24, 32),
    (30, 36),
  )
  config.model.update(variant='mu', anchors=anchors, dtype='float32')
