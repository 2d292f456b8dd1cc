"""YOLOX on your own pictures with boxes, from nothing: a few hundred will do.

  command   python launch.py --config=configs/yolo_small.py:path=cells
  hardware  2 CPU cores, or 1 GPU
  time      depends on your pictures
  reached   depends on your pictures

`path` is a folder or an archive in COCO's, Pascal VOC's or YOLO's format, which it finds out. Then
find objects in new pictures:

  python launch.py --mode=predict --config=configs/yolo_small.py:path=cells new.jpg

`:smoke` needs no pictures: it learns bundled digits.
"""

from ml_collections import ConfigDict

from configs.common import smoke
from vitlab.config import base, parse_arg
from vitlab.errors import UserError


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: of your pictures; `size`: pixels of the longer side; `variant`: of YOLOX; `smoke`."""
  arg = parse_arg(arg, path='', size=320, variant='tiny', epochs=120, smoke=False)
  if not arg.path and not arg.smoke:
    raise UserError(
      'configs/yolo_small.py needs your pictures: --config=configs/yolo_small.py:path=FOLDER'
    )
  config = base()
  config.duration = f'{arg.epochs} epochs'
  config.batch_size = 8
  config.ema_decay = 0.998

  config.data = dict(
    name='detection_folder',
    path=arg.path,
    image_size=(arg.size * 3 // 4, arg.size),
    in_memory=True,
  )
  config.model = dict(name='yolo', num_classes=None, variant=arg.variant, dtype='float32')
  config.task = dict(
    name='detection',
    augment='mosaic(probability=0.5)|scale_jitter(zoom=(0.8, 1.25))|flip|hsv_jitter',
  )
  config.optim = dict(
    name='adamw',
    learning_rate=1e-3,
    schedule='cosine',
    warmup='5%',
    weight_decay=0.05,
    clip_norm=10.0,
  )
  config.evaluators.test = dict(name='average_precision', split='test|val', num_classes=None)
  config.evaluators.test.every = '10%'
  config.checkpoint.best = 'test/ap'
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  smoke.scattered(config)
  config.model.update(variant='mu', width=4)
