"""A small TNT on Fashion-MNIST, from its original .gz files.

  command   python launch.py --config=configs/tnt_fashion_mnist.py:path=FOLDER
  hardware  2 CPU cores
  time      20 min, four of them beside other work
  reached   91.3 % test accuracy (seed 0)

FOLDER holds the four files of github.com/zalandoresearch/fashion-mnist; by default it is
data/fashion_mnist. Any other set in MNIST's format works too, and so do pictures, train/CLASS/*.png
and test/CLASS/*.png in a folder or an archive. Of fewer than 60,000 the run makes more epochs.
`:smoke` needs none: it learns the bundled digits.
"""

from ml_collections import ConfigDict

from configs.common import small_pictures, smoke
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: the files, or pictures; `smoke`: a run of seconds on digits."""
  arg = parse_arg(arg, path='data/fashion_mnist', smoke=False)
  config = base()
  config.duration = '16 epochs, at least 3000 steps'
  config.batch_size = 128
  config.ema_decay = 0.998

  config.data = small_pictures.data(arg.path)
  config.model = dict(
    name='tnt',
    variant='S',
    patch_size=7,
    inner_stride=2,
    width=64,
    depth=4,
    num_heads=2,
    mlp_dim=128,
    inner_width=12,
    inner_num_heads=2,
    pool='gap',
    num_classes=None,
    dtype='float32',
  )
  config.task = dict(
    name='classification',
    num_classes=None,
    augment='random_crop(padding=2)|flip',
    label_smoothing=0.1,
  )
  config.optim = dict(
    name='muon',
    learning_rate=3e-3,
    schedule='cosine',
    warmup='5%',
    weight_decay=0.05,
    clip_norm=1.0,
  )
  config.evaluators.test = dict(name='classification', split='test', every='10%')
  config.checkpoint.best = 'test/accuracy'
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  smoke.digits(config)
  config.model.update(patch_size=4, width=32, depth=2, mlp_dim=64, inner_width=8)
  config.optim.learning_rate = 2e-2
