"""A small ResNet on Fashion-MNIST, from its original .gz files.

  command   python launch.py --config=configs/resnet_fashion_mnist.py:path=FOLDER
  hardware  2 CPU cores
  time      23 min, in part beside other work; 15 min at 545 images/s alone
  reached   93.8 % test accuracy (seed 0)

FOLDER holds the four files of github.com/zalandoresearch/fashion-mnist; by default it is
data/fashion_mnist. Any other set in MNIST's format works too, and so do pictures, train/CLASS/*.png
and test/CLASS/*.png in a folder or an archive. Of fewer than 60,000 the run makes more epochs: of
7,000, --config.train_split='train[:7000]', 600 steps reached 89.4 % in 3.6 minutes of one core
(nearest neighbours: 81.9 %). `:smoke` needs none: it learns the bundled digits.
"""

from ml_collections import ConfigDict

from configs.common import small_pictures, smoke
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: the files, or pictures; `smoke`: a run of seconds on digits."""
  arg = parse_arg(arg, path='data/fashion_mnist', smoke=False)
  config = base()
  config.duration = '8 epochs, at least 1000 steps'
  config.batch_size = 128
  config.ema_decay = 0.998

  config.data = small_pictures.data(arg.path)
  config.model = dict(
    name='resnet',
    variant='18',
    depths=(1, 1, 1),
    width=32,
    stem='small',
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
    learning_rate=1e-2,
    schedule='cosine',
    warmup='5%',
    weight_decay=0.05,
  )
  config.evaluators.test = dict(name='classification', split='test', every='10%')
  config.checkpoint.best = 'test/accuracy'
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  smoke.digits(config)
  config.model.update(depths=(1, 1), width=8)
