"""ResNet-18 on CIFAR-10, from TFDS or from a folder or archive.

  command   python launch.py --config=configs/resnet_cifar10.py
            python launch.py --config=configs/resnet_cifar10.py:path=cifar10.tar.gz
  hardware  1 GPU
  published 93.02 % (github.com/kuangliu/pytorch-cifar, a ResNet-18 of this stem); not run here

Without `path` the set must have been prepared once by TensorFlow Datasets; with it, pictures lie as
train/CLASS/*.png and test/CLASS/*.png on disk, in a .zip or in a .tar. `:smoke` needs neither: it
learns the bundled digits.
"""

from ml_collections import ConfigDict

from configs.common import cifar10, smoke
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`variant`: of the ResNet; `path`: folder or archive; `smoke`: a run of seconds on digits."""
  arg = parse_arg(arg, variant='18', path='', smoke=False)
  config = base()
  config.duration = '200 epochs'
  config.batch_size = 128

  config.data = cifar10.data(arg.path)
  config.model = dict(
    name='resnet',
    variant=arg.variant,
    stem='small',
    num_classes=None,
    dtype='bfloat16',
  )
  config.task = dict(
    name='classification',
    num_classes=None,
    augment='random_crop(padding=4)|flip',
    **cifar10.NORMALISATION,
  )
  config.optim = dict(
    name='sgd',
    learning_rate=0.1,
    momentum=0.9,
    schedule='cosine',
    weight_decay=5e-4,
    decay_mask='.',  # norms too, as there
  )
  config.evaluators.test = dict(name='classification', split='test', every='5%')
  config.checkpoint.best = 'test/accuracy'
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  smoke.digits(config)
  config.model.update(variant='mu', dtype='float32')
  config.optim.warmup = '10%'
