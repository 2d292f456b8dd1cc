"""Faster R-CNN on digits scattered over pictures: a minute, nothing to download.

  command   python launch.py --config=configs/faster_rcnn_digits.py
  hardware  2 CPU cores
  time      50 s, compilation and report included (seed 0)
  reached   97.3 % test AP50, mean of seeds 0, 1, 2 (97.2, 96.6, 98.1 %); AP 72.5 %

A small ResNet, a pyramid of its three maps, and few proposals: pictures have 64 pixels a side.
`:smoke` is a run of seconds.
"""

from ml_collections import ConfigDict

from configs.common import smoke
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`smoke`: a run of seconds."""
  arg = parse_arg(arg, smoke=False)
  config = base()
  config.duration = '800 steps'
  config.batch_size = 16

  config.data = dict(name='scattered_digits')
  config.model = dict(
    name='faster_rcnn',
    num_classes=None,
    backbone=dict(
      name='resnet', variant='18', depths=(1, 1, 1), width=16, stem='imagenet', norm='batchnorm'
    ),
    channels=32,
    hidden=128,
    anchor_sizes=((12,), (18,), (26,), (36,)),
    anchor_ratios=(1.0, 1.6),  # digits are higher than wide
    candidates=(64, 64),
    proposals=(48, 32),
    samples=(64, 32),
    region_size=5,
    dtype='float32',
  )
  config.task = dict(name='detection')
  config.optim = dict(
    name='adamw',
    learning_rate=4e-3,
    schedule='cosine',
    warmup='5%',
    weight_decay=0.05,
    clip_norm=1.0,
  )
  config.evaluators.test = dict(
    name='average_precision', split='test', every='50%', num_classes=None
  )
  config.log_every = '50 steps'
  config.checkpoint.best = 'test/ap'
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  smoke.scattered(config)
  config.model.update(hidden=32, candidates=(32, 16), proposals=(24, 12), samples=(24, 12))
