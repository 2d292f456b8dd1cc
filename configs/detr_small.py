"""DETR on your own pictures with boxes, from nothing: a few hundred will do.

  command   python launch.py --config=configs/detr_small.py:path=cells
  hardware  2 CPU cores, or 1 GPU
  time      about 47 CPU minutes for BCCD, 205 blood-cell images to train on
  reached   there, on the 72 of the test: AP50 65.5 %, AP 36.2 % (seed 0), behind the two others

`path` is a folder or an archive in COCO's, Pascal VOC's or YOLO's format, which it finds out. The
paper's DETR learns nothing from so few pictures: here queries look around learned boxes (`focus`),
every object is learned by several of them (`groups`) and told with mistakes to some more
(`denoising`); each can be switched off. Then find objects in new pictures:

  python launch.py --mode=predict --config=configs/detr_small.py:path=cells new.jpg

`:smoke` needs no pictures: it learns bundled digits.
"""

from ml_collections import ConfigDict

from configs.common import boxes, smoke


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: of your pictures; `size`: pixels of the longer side; `queries`: more than the objects
  of any picture; `focus`, `groups`, `denoising`; `epochs`; `smoke`: seconds, on digits."""
  config, arg = boxes.start(arg, 'detr_small', queries=60, focus=True, groups=3, denoising=3)
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
  config.optim = dict(
    name='muon',
    learning_rate=5e-3,
    schedule='cosine',
    warmup='5%',
    weight_decay=1e-2,
    clip_norm=1.0,
  )
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  smoke.scattered(config)
  config.model.backbone.update(depths=(1, 1), width=16)
  config.model.update(width=32, mlp_dim=64, depth=2, num_heads=2, num_queries=12)
  config.optim.update(name='muon', learning_rate=2e-2, clip_norm=1.0)
