"""YOLOX on handwritten digits scattered over grey pictures: nothing to download.

  command   python launch.py --config=configs/yolo_digits.py
  hardware  2 CPU cores
  time      60 s, compilation and report included (seed 0)
  reached   91.7 % AP50, mean of seeds 0, 1, 2 (91.2, 91.8, 92.2 %); AP 68.6 %

`:smoke` is a smaller one, in seconds.
"""

from ml_collections import ConfigDict

from configs.common import smoke
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`smoke`: a run of seconds."""
  arg = parse_arg(arg, smoke=False)
  config = base()
  config.duration = '1200 steps'
  config.batch_size = 16
  config.ema_decay = 0.99

  config.data = dict(name='scattered_digits')
  config.model = dict(name='yolo', num_classes=None, variant='mu', width=12, dtype='float32')
  config.task = dict(name='detection', augment='')
  config.optim = dict(
    name='adamw',
    learning_rate=5e-3,
    schedule='cosine',
    warmup='5%',
    weight_decay=0.05,
    clip_norm=10.0,
  )
  config.evaluators.test = dict(name='average_precision', split='test', num_classes=None)
  config.evaluators.test.every = '100%'
  config.checkpoint.best = 'test/ap'
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  smoke.scattered(config)
  config.model.width = 4
