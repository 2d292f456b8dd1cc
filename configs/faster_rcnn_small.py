"""Faster R-CNN on your own pictures with boxes, from nothing: a few hundred do.

  command   python launch.py --config=configs/faster_rcnn_small.py:path=cells
  hardware  2 CPU cores, or 1 GPU
  time      about 38 CPU minutes for BCCD, 205 blood-cell images to train on
  reached   there, on the 72 of the test: AP50 90.4 %, AP 60.4 % (seed 0)

`path` is a folder or an archive in COCO's, Pascal VOC's or YOLO's format, which it finds out. Then
find objects in new pictures:

  python launch.py --mode=predict --config=configs/faster_rcnn_small.py:path=cells new.jpg

`:smoke` needs no pictures: it learns bundled digits.
"""

from ml_collections import ConfigDict

from configs.common import boxes, smoke


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: of your pictures; `size`: pixels of the longer side; `epochs`; `smoke`: seconds."""
  config, arg = boxes.start(arg, 'faster_rcnn_small')
  config.model = dict(
    name='faster_rcnn',
    num_classes=None,
    backbone=dict(name='resnet', variant='18', width=32, norm='batchnorm'),
    channels=64,
    hidden=256,
    # From a 27th of the longer side to three fifths of it.
    anchor_sizes=tuple((arg.size * 3 * 2**i / 80,) for i in range(5)),
    candidates=(400, 200),
    proposals=(256, 128),
    samples=(128, 64),
    dtype='float32',
  )
  config.optim = dict(
    name='adamw',
    learning_rate=1e-3,
    schedule='cosine',
    warmup='5%',
    weight_decay=0.05,
    clip_norm=5.0,
  )
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  smoke.scattered(config)
  config.model.backbone.update(depths=(1, 1), width=16)
  config.model.update(channels=32, hidden=64, anchor_sizes=((12,), (20,), (30,)))
  config.model.update(candidates=(40, 20), proposals=(32, 16), samples=(32, 16), region_size=5)
