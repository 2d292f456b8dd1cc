"""ViT on CIFAR-10, from TFDS or from a folder or archive.

  command   python launch.py --config=configs/vit_cifar10.py
            python launch.py --config=configs/vit_cifar10.py:path=cifar10.tar.gz
  hardware  1 GPU
  published 93.58 % (Lee et al. 2021, arXiv:2112.13492, a ViT of this size); not run here

Without `path` the set must have been prepared once by TensorFlow Datasets; with it, pictures lie as
train/CLASS/*.png and test/CLASS/*.png on disk, in a .zip or in a .tar. `:smoke` needs neither: it
learns the bundled digits.
"""

from ml_collections import ConfigDict

from configs.common import cifar10, smoke
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: folder or archive; `smoke`: a run of seconds on digits."""
  arg = parse_arg(arg, path='', smoke=False)
  config = base()
  config.duration = '200 epochs'
  config.batch_size = 512
  config.ema_decay = 0.999

  config.data = cifar10.data(arg.path)
  config.model = dict(
    name='vit',
    variant='Ti/4',
    depth=9,
    num_classes=None,
    pool='gap',
    drop_path_rate=0.1,
    dtype='bfloat16',
    scan=False,
  )
  config.task = dict(
    name='classification',
    num_classes=None,
    augment='random_crop(padding=4)|flip|rand_augment(num_layers=2)|mixup_or_cutmix|random_erasing',
    label_smoothing=0.1,
    **cifar10.NORMALISATION,
  )
  config.optim = dict(
    name='adamw',
    learning_rate=1e-3,
    schedule='cosine',
    warmup='10 epochs',
    weight_decay=0.05,
    clip_norm=1.0,
  )
  config.evaluators.test = dict(name='classification', split='test', every='5%')
  config.checkpoint.best = 'test/accuracy'
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  smoke.digits(config)
  config.model.update(variant='mu/2', depth=2, drop_path_rate=0.0, dtype='float32')
  config.optim.update(learning_rate=5e-3, warmup='10%')
