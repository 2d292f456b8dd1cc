"""YOLOX-S on COCO, from nothing, as its authors train it (arXiv:2107.08430).

  command    python launch.py --config=configs/yolox_s_coco.py:path=coco
  hardware   8 or more accelerators; see --mode=inspect --topology=h100:8
  published  40.5 % AP on val2017; not run here

`path` holds annotations and pictures of COCO 2017, in folders or archives; without it they are what
TensorFlow Datasets has prepared. `:smoke` needs neither: it learns bundled digits.

Differences: they draw another size of pictures from 448 to 832 every ten steps, and train the last
15 epochs without mosaic and mixup, and with `model.l1`. Their mosaic also rotates and shears; their
warm-up is quadratic.
"""

from ml_collections import ConfigDict

from configs.common import coco, smoke
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: of COCO; `variant`: of YOLOX; `smoke`: a run of seconds on digits."""
  arg = parse_arg(arg, path='', variant='s', smoke=False)
  config = base()
  config.duration = '300 epochs'
  config.batch_size = 64
  config.ema_decay = 0.9998
  config.num_workers = 16

  config.data = dict(coco.data(arg.path), image_size=640)
  config.model = dict(name='yolo', num_classes=None, variant=arg.variant, dtype='bfloat16')
  config.task = dict(
    name='detection',
    augment='mosaic(zoom=(0.1, 2.0))|mixup|flip|hsv_jitter',
    # Pixels from 0 to 255, on grey.
    mean=(0.0,),
    std=(1 / 255,),
    fill=(114,),
  )
  config.optim = dict(
    name='sgd',
    momentum=0.9,
    nesterov=True,
    learning_rate=0.01,
    schedule='cosine',
    warmup='5 epochs',
    final_learning_rate=5e-4,
    weight_decay=5e-4,
  )
  coco.evaluate(config, arg.path, every='10 epochs')
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  smoke.scattered(config)
  config.model.update(variant='mu', width=4, dtype='float32')
