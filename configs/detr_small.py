"""DETR on your own pictures with boxes, from nothing: a few hundred will do.

  command   python launch.py --config=configs/detr_small.py:path=cells
  hardware  2 CPU cores, or 1 GPU
  time      depends on your pictures
  reached   depends on your pictures

`path` is a folder or an archive in COCO's, Pascal VOC's or YOLO's format, which it finds out. The
paper's DETR learns nothing from so few pictures: here queries look around learned boxes (`focus`),
every object is learned by several of them (`groups`) and told with mistakes to some more
(`denoising`); each can be switched off. Then find objects in new pictures:

  python launch.py --mode=predict --config=configs/detr_small.py:path=cells new.jpg

`:smoke` needs no pictures: it learns bundled digits.
"""

from ml_collections import ConfigDict

from configs.common import smoke
from vitlab.config import base, parse_arg
from vitlab.errors import UserError


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: of your pictures; `size`: pixels of the longer side; `queries`: more than the objects
  of any picture; `focus`, `groups`, `denoising`; `epochs`; `smoke`: seconds, on digits."""
  words = dict(path='', size=320, queries=60, focus=True, groups=3, denoising=3, epochs=120)
  arg = parse_arg(arg, **words, smoke=False)
  if not arg.path and not arg.smoke:
    raise UserError(
      'configs/detr_small.py needs your pictures: --config=configs/detr_small.py:path=FOLDER'
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
  config.model = dict(
    name='detr',
    num_classes=None,
    variant='small',
    backbone=dict(name='resnet', variant='18', width=32, depths=(1, 1, 1), dtype='float32'),
    num_queries=arg.queries,
    focus=arg.focus,
    query_groups=arg.groups,
    denoising=arg.denoising,
    dropout_rate=0.0,
    dtype='float32',
  )
  config.task = dict(name='detection', augment='scale_jitter(zoom=(0.8, 1.25))|flip|hsv_jitter')
  config.optim = dict(
    name='muon',
    learning_rate=5e-3,
    schedule='cosine',
    warmup='5%',
    weight_decay=1e-2,
    clip_norm=1.0,
  )
  config.evaluators.test = dict(name='average_precision', split='test|val', num_classes=None)
  config.evaluators.test.every = '10%'
  config.checkpoint.best = 'test/ap'
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  smoke.scattered(config)
  config.model.backbone.update(depths=(1, 1), width=16)
  config.model.update(width=32, mlp_dim=64, depth=2, num_heads=2, num_queries=12)
  config.optim.update(name='muon', learning_rate=2e-2, clip_norm=1.0)
