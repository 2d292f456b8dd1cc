"""ViT on 8x8 handwritten digits: a minute, nothing to download.

  command   python launch.py --config=configs/vit_digits.py
  hardware  2 CPU cores
  time      43 s, compilation and report included (41, 45, 43 s; empty compile cache)
  reached   99.1 % test accuracy, mean of seeds 0, 1, 2 (98.6, 99.2, 99.4 %)

The 1,797 images come with scikit-learn. `:smoke` is the same in seconds. `--mode=sweep` tries four
learning rates with three seeds each, a minute a trial.
"""

from collections.abc import Callable

from ml_collections import ConfigDict

from vitlab.config import base, parse_arg
from vitlab.sweep.points import Point, product, seeds


def get_config(arg: str | None = None) -> ConfigDict:
  """`smoke`: a run of seconds."""
  arg = parse_arg(arg, smoke=False)
  config = base()
  config.duration = '180 steps' if arg.smoke else '1800 steps'
  config.batch_size = 64

  config.data = dict(name='digits')
  config.model = dict(
    name='vit',
    variant='Ti/2',
    width=32 if arg.smoke else 64,
    depth=2 if arg.smoke else 4,
    num_heads=4,
    mlp_dim=64 if arg.smoke else 128,
    num_classes=None,
    pool='gap',
    drop_path_rate=0.0,
    dtype='float32',
  )
  config.task = dict(
    name='classification',
    num_classes=None,
    # Shifts by whole pixels cut strokes off: the digits fill their 8x8 squares.
    augment='affine(degrees=10, translate=0.06, zoom=(0.9, 1.1))',
    label_smoothing=0.1,
  )
  config.optim = dict(
    name='adamw',
    learning_rate=5e-3 if arg.smoke else 2e-3,
    schedule='cosine',
    warmup='10%',
    weight_decay=0.05,
    clip_norm=1.0,
  )
  config.evaluators.test = dict(name='classification', split='test', every='25%')
  config.log_every = '50 steps'
  config.checkpoint.best = 'test/accuracy'
  return config


def sweep(add: Callable[[Point], None]) -> None:
  """Four learning rates, each with three seeds."""
  for point in product({'optim.learning_rate': [5e-4, 1e-3, 2e-3, 4e-3]}, seeds(3)):
    add(point)
